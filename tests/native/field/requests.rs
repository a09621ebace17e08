//! One budget of upstream requests and one deadline for one HTTP request.
