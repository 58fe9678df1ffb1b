// Package flight lets one do what several want done, while the others wait.
package flight

import (
	"slices"
	"sync"

	"github.com/go-affinity/affinity/internal/table"
)

// A Group keeps track of the keys for which something is being done. They are few
// at a time, so that it is quicker to look through a list than to hash. The zero
// Group is ready for use. All methods are safe for concurrent use.
type Group [64]struct {
	mu   sync.Mutex
	list []flight
}

type flight struct {
	key  table.Key
	done chan struct{} // nil if nobody waits
}

// Join reports whether the caller is the first one at k: then it must Leave.
// Otherwise the channel is closed when the first one leaves.
func (g *Group) Join(k table.Key) (done chan struct{}, first bool) {
	some := &g[k.Lo%uint64(len(g))]
	some.mu.Lock()
	defer some.mu.Unlock()
	for i := range some.list {
		f := &some.list[i]
		if f.key != k {
			continue
		}
		if f.done == nil {
			f.done = make(chan struct{})
		}
		return f.done, false
	}
	some.list = append(some.list, flight{key: k})
	return nil, true
}

// Leave lets those go on who wait for k.
func (g *Group) Leave(k table.Key) {
	some := &g[k.Lo%uint64(len(g))]
	some.mu.Lock()
	i := slices.IndexFunc(some.list, func(f flight) bool { return f.key == k })
	done := some.list[i].done
	some.list = slices.Delete(some.list, i, i+1)
	some.mu.Unlock()
	if done != nil {
		close(done)
	}
}
