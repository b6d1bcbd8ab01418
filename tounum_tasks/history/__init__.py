"""What was: every version of every manifest, what changed between them, going back, and clearing away."""
