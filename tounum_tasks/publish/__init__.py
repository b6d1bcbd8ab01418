"""Publishing: one manifest per batch, from the register's list and the stages' committed rows."""
