package registry

import "sync/atomic"

// Remembered returns the number of targets of which anything is known.
func (g *Registry) Remembered() int { return len(g.traits) }

// Locked calls f with g locked.
func (g *Registry) Locked(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

// Uses returns the count of bindings of t.
func (t *Target) Uses() *atomic.Int64 { return &t.uses }
