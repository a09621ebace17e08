//! The authorization server: limits that nobody uses up for others, redirects, ends of grants, and what the page says.
