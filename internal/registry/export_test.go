package registry

// Remembered returns the number of targets of which anything is known.
func (g *Registry) Remembered() int { return len(g.traits) }
