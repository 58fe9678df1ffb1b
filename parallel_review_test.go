package affinity

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/registry"
	"github.com/go-affinity/affinity/internal/table"
)

// Numbers of targets are used again at once where they are scarce. A reader that
// has got the number of a target which is replaced just then has to look again: a
// key that is bound all the time is found all the time, and never at the target of
// another.
func TestParallelGetIsOfTheRightTarget(t *testing.T) {
	c, err := NewCache(CacheConfig{Capacity: 100})
	require.NoError(t, err)
	c.targets = registry.New(3)
	c.table = table.New(100, int64(leaseLimit), c.targets)
	n := 1_000_000 // a reader has to be interrupted at one point
	if testing.Short() {
		n /= 50
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for _, kind := range []string{"x", "y"} {
		k := c.Key(kind)
		c.Set(k, kind)
		wg.Go(func() {
			defer done.Store(true)
			for i := range n {
				c.Set(k, kind+fmt.Sprint(i&3))
			}
		})
		wg.Go(func() {
			for !done.Load() {
				if b, ok := c.Peek(k); !ok || b.Target[:1] != kind {
					t.Errorf("%q has target %q, %t", kind, b.Target, ok)
					return
				}
			}
		})
	}
	wg.Wait()
}
