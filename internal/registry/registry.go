// Package registry knows the targets that a Cache's bindings are about: it gives
// them numbers, so that a binding need not hold a name, and keeps what is known
// of them beyond their bindings.
package registry

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// A Registry gives out small numbers for target IDs. A number dies when the
// target is invalidated, and all bindings with it; the same ID then gets a new
// one. Numbers without bindings are used again. A reader that takes no lock may hold
// one for a moment longer, and so has to make sure of the binding after Get: see
// [table.Found.Holds].
//
// Use New. All methods are safe for concurrent use, and Get takes no lock.
type Registry struct {
	byRef  atomic.Pointer[[]atomic.Pointer[Target]]
	seed   maphash.Seed
	drains atomic.Int32 // targets being drained
	dying  atomic.Int32 // targets that are dead and have bindings
	_      apart

	// known has one target, as long as it lives, for each hash of a name.
	known [64]atomic.Pointer[Target]
	_     apart

	mu     sync.Mutex
	byName map[string]*Target
	traits map[string]*Traits
	n      uint32 // numbers given out so far
	maxRef uint32
	idle   []uint32 // those without bindings
}

// New returns an empty Registry, of numbers from 0 to maxRef.
func New(maxRef uint32) *Registry {
	return &Registry{maxRef: maxRef, seed: maphash.MakeSeed(), byName: make(map[string]*Target), traits: make(map[string]*Traits)}
}

// Get returns the target of ref, or nil if it is gone. Whoever does not keep a
// binding to it in its place may be told of the next one of that number.
func (g *Registry) Get(ref uint32) *Target {
	refs := g.byRef.Load()
	if refs == nil || uint64(ref) >= uint64(len(*refs)) {
		return nil
	}
	return (*refs)[ref].Load()
}

// Acquire returns the target of that name, counted once more, or nil if there
// are too many targets for another one to get a number.
func (g *Registry) Acquire(name string) *Target {
	// Most are found without the lock, for which all would wait in turn.
	known := &g.known[maphash.String(g.seed, name)%uint64(len(g.known))]
	if t := known.Load(); t != nil && t.Name == name && t.retain() {
		if !t.Dead() {
			return t
		}
		g.Release(t.Ref)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.byName[name]
	if t == nil {
		ref, ok := g.number()
		if !ok {
			return nil
		}
		t = &Target{Name: name, Ref: ref, Traits: g.traitsOf(name)}
		(*g.byRef.Load())[ref].Store(t)
		g.byName[name] = t
	}
	t.slots.Add(1)
	if k := known.Load(); k == nil || k.Dead() {
		known.Store(t)
	}
	return t
}

// maxTraits bounds the targets that are remembered when they have no bindings.
const maxTraits = 1 << 14

// traitsOf returns the traits of the target of that name. Called with g locked.
func (g *Registry) traitsOf(name string) *Traits {
	if t := g.traits[name]; t != nil {
		return t
	}
	if len(g.traits) >= maxTraits {
		g.forget()
	}
	t := new(Traits)
	g.traits[name] = t
	return t
}

// forget drops the traits of some targets that nothing is bound to. It looks at
// a few only: where more than maxTraits have bindings, there are none to be found.
func (g *Registry) forget() {
	looks := 16
	for name, t := range g.traits {
		if g.byName[name] == nil && t.drain.Load() == 0 {
			delete(g.traits, name)
		}
		if looks--; looks == 0 {
			return
		}
	}
}

// Drain sets when the target of that name has to give up its sessions.
func (g *Registry) Drain(name string, end int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.traitsOf(name).drain.Swap(end)
	switch {
	case was == 0 && end != 0:
		g.drains.Add(1)
	case was != 0 && end == 0:
		g.drains.Add(-1)
	}
}

// Drains reports whether any target is being drained.
func (g *Registry) Drains() bool { return g.drains.Load() != 0 }

// Drained returns the targets that take no new sessions, with what Drain was told.
func (g *Registry) Drained() map[string]int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	drained := make(map[string]int64)
	for name, t := range g.traits {
		if end := t.drain.Load(); end != 0 {
			drained[name] = end
		}
	}
	return drained
}

// Draining reports whether the target of that name takes no new sessions.
func (g *Registry) Draining(name string) bool {
	if !g.Drains() {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.traits[name]
	return t != nil && t.drain.Load() != 0
}

// number returns a number to use, unless all are in use. Called with g locked.
func (g *Registry) number() (uint32, bool) {
	if n := len(g.idle); n > 0 {
		ref := g.idle[n-1]
		g.idle = g.idle[:n-1]
		return ref, true
	}
	if g.n > g.maxRef {
		return 0, false
	}
	old := g.byRef.Load()
	if old == nil || int(g.n) == len(*old) {
		var have []atomic.Pointer[Target]
		if old != nil {
			have = *old
		}
		refs := make([]atomic.Pointer[Target], max(16, 2*len(have)))
		for i := range have {
			refs[i].Store(have[i].Load())
		}
		g.byRef.Store(&refs)
	}
	g.n++
	return g.n - 1, true
}

// Kill makes all present bindings of the target void.
func (g *Registry) Kill(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.byName[name]; t != nil {
		g.dying.Add(1)
		t.dead.Store(true)
		delete(g.byName, name)
		// If it has no bindings, whoever gave up the last one is about to retire it.
	}
}

// Dying implements [table.Owner].
func (g *Registry) Dying() bool { return g.dying.Load() != 0 }

// Alive implements [table.Owner].
func (g *Registry) Alive(ref uint32) bool {
	t := g.Get(ref)
	return t != nil && !t.dead.Load()
}

// Release implements [table.Owner].
func (g *Registry) Release(ref uint32) {
	t := g.Get(ref)
	if t.slots.Add(-1) > 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.slots.Load() > 0 || g.Get(ref) != t {
		return
	}
	if !t.dead.Load() {
		g.dying.Add(1)
		t.dead.Store(true)
		delete(g.byName, t.Name)
	}
	g.retire(t)
}

// retire gives up the number of a target that has no bindings. Called with g
// locked.
func (g *Registry) retire(t *Target) {
	(*g.byRef.Load())[t.Ref].Store(nil)
	g.idle = append(g.idle, t.Ref)
	g.dying.Add(-1)
}

// apart keeps what all requests read off the cache line of what some of them
// write.
type apart [64]byte
