package census

// Watched returns the number of keys that are watched.
func (c *Census) Watched() int { return len(c.m) }
