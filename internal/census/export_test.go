package census

// Most is how many keys are watched at most.
const Most = most

// Watched returns the number of keys that are watched.
func (c *Census) Watched() int { return len(c.seen) }
