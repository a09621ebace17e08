//! What guessing keys costs, over restarts and many requests at once.

mod guesses;
