// Package registry gives numbers (refs) to targets, so that a binding need not hold a name.
// It also keeps what is known of a target apart from its bindings.
package registry

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// A Registry gives out small numbers for target IDs. It counts the bindings of each
// number: Acquire adds one, Release takes one away. A number without bindings is used
// again for another target. When a target is invalidated (Kill), its number dies with all
// bindings that have it, and the same ID gets another one.
//
// A reader that finds a number in a binding without a lock may ask for its target just
// when the number has passed to another. So after Get, it has to make sure that the
// binding is still there: see [table.Found.Holds].
//
// Use New. All methods are safe for concurrent use, and Get takes no lock. A Registry is
// the [table.Owner] of the bindings.
type Registry struct {
	byRef  atomic.Pointer[[]atomic.Pointer[Target]] // by number, nil where no target has it; written with mu held
	seed   maphash.Seed
	drains atomic.Int32 // targets that are being drained
	dying  atomic.Int32 // targets that are dead and still have a number
	_      pad

	// recent lets most calls of Acquire do without mu. By the hash of its name, it has one
	// target, which may be dead.
	recent [64]atomic.Pointer[Target]
	_      pad

	mu     sync.Mutex
	byName map[string]*Target // those that have a number and are not dead
	traits map[string]*Traits // of these, and of others that are remembered
	n      uint32             // numbers given out so far: those below n
	maxRef uint32
	idle   []uint32 // numbers below n that no target has
}

// pad keeps what all requests read off the cache line of what some of them write.
type pad [64]byte

// New returns an empty Registry that has the numbers from 0 to maxRef.
func New(maxRef uint32) *Registry {
	return &Registry{maxRef: maxRef, seed: maphash.MakeSeed(), byName: make(map[string]*Target), traits: make(map[string]*Traits)}
}

// Get returns the target that has the number ref, or nil if none has. Unless the caller makes
// sure that there is a binding with the number, that may be the next target that got it: see
// Registry.
func (g *Registry) Get(ref uint32) *Target {
	refs := g.byRef.Load()
	if refs == nil || uint64(ref) >= uint64(len(*refs)) {
		return nil
	}
	return (*refs)[ref].Load()
}

// Acquire returns the target of that name that is not dead, and counts one more binding of
// it. The caller either stores the binding, and has it Released when that is removed, or
// calls Release itself. Acquire returns nil if all numbers are taken.
func (g *Registry) Acquire(name string) *Target {
	recent := &g.recent[maphash.String(g.seed, name)%uint64(len(g.recent))]
	if t := recent.Load(); t != nil && t.Name == name && g.Retain(t) {
		return t
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.byName[name]
	if t == nil {
		ref, ok := g.newRef()
		if !ok {
			return nil
		}
		t = &Target{Name: name, Ref: ref, Traits: g.traitsOf(name)}
		(*g.byRef.Load())[ref].Store(t)
		g.byName[name] = t
	}
	t.uses.Add(1)
	if r := recent.Load(); r == nil || r.Dead() { // do not write over a live one: many read it
		recent.Store(t)
	}
	return t
}

// Retain counts one more binding of t, as Acquire does, and reports whether it could: t may be
// dead. It is for a binding that follows another one, such as that of a session which inherits
// its target. By Retain it gets the very same Target, so if the target is invalidated in
// between, the new binding is void as well. Acquire would make it anew.
func (g *Registry) Retain(t *Target) bool {
	if !t.retain() {
		return false
	}
	if t.Dead() {
		g.Release(t.Ref)
		return false
	}
	return true
}

// maxTraits is how many targets are known before some without bindings are forgotten.
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
	g.traits[strings.Clone(name)] = t // it may be a part of a long text, which would stay in memory with it
	return t
}

// forget drops the traits of some targets that have no bindings and are not being
// drained. It looks at a few targets only: if more than maxTraits have bindings, there may be
// none to drop. Called with g locked.
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

// Drain begins to drain the target of that name, or sets another deadline: end is when it
// has to give up the sessions that it has. An end of 0 ends the drain.
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

// AnyDraining reports whether any target is being drained. It takes no lock.
func (g *Registry) AnyDraining() bool { return g.drains.Load() != 0 }

// Drained returns the names of the targets that are being drained, with their deadlines.
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

// Draining reports whether the target of that name is being drained, before or after its
// deadline, and so takes no new sessions. It takes a lock only if any is.
func (g *Registry) Draining(name string) bool {
	if !g.AnyDraining() {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.traits[name]
	return t != nil && t.drain.Load() != 0
}

// newRef returns a number that no target has, and false if all are taken. It makes byRef longer
// if the number needs that. Called with g locked.
func (g *Registry) newRef() (uint32, bool) {
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

// Kill makes all present bindings of the target of that name void. Their number is dead: it is
// given to another target once the last of them was released.
func (g *Registry) Kill(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.byName[name]; t != nil {
		g.dying.Add(1)
		t.dead.Store(true)
		delete(g.byName, name)
		// If it has no bindings, the call of Release that took the last one is about to
		// retire it.
	}
}

// Dying implements [table.Owner]. It reports true until the last binding of each dead
// target was released.
func (g *Registry) Dying() bool { return g.dying.Load() != 0 }

// Alive implements [table.Owner].
func (g *Registry) Alive(ref uint32) bool {
	t := g.Get(ref)
	return t != nil && !t.dead.Load()
}

// Release implements [table.Owner]: it takes back what Acquire has counted for a binding
// of the number ref.
func (g *Registry) Release(ref uint32) {
	t := g.Get(ref) // not nil: the binding that the caller releases has kept the number in use
	if t.uses.Add(-1) > 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	// Before we had the lock, Acquire may have counted another binding, and another call
	// of Release may have retired the target.
	if t.uses.Load() > 0 || g.Get(ref) != t {
		return
	}
	if t.dead.Swap(true) {
		g.dying.Add(-1)
	} else {
		delete(g.byName, t.Name)
	}
	(*g.byRef.Load())[ref].Store(nil)
	g.idle = append(g.idle, ref)
}
