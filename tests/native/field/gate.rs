//! What SQL does, decided before it is sent.
