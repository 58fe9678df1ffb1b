// Package flight lets one goroutine do what several want done at once, while the others
// wait for it. They do not share its result: they look for themselves afterwards.
package flight

import (
	"slices"
	"sync"

	"github.com/go-affinity/affinity/internal/table"
)

// A Group keeps track of the keys for which something is being done. The zero Group is
// ready for use. All methods are safe for concurrent use.
//
// It has a lock for every 64th of the keys. There are few keys at a time, so looking
// through a list is quicker than hashing.
type Group [64]struct {
	mu   sync.Mutex
	list []flight // in no order
}

// A flight is a key for which something is being done.
type flight struct {
	key  table.Key
	done chan struct{} // closed when that is done; nil while nobody waits
}

// Join reports whether the caller is the first at k. The first has to do what there is to
// do, and call Leave in any case. The others get a channel that is closed when it does.
func (g *Group) Join(k table.Key) (done <-chan struct{}, first bool) {
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

// Leave lets those go on who wait for k. Only the first at k calls it, and once.
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
