//! What guessing keys costs, and whom it never costs anything.
