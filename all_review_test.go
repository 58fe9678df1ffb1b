package affinity

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/registry"
	"github.com/go-affinity/affinity/internal/table"
)

// A binding that All yields was there: never one of a session to a target that
// it was never bound to, because the target's number has another one by now.
func TestAllDoesNotYieldTheNextTargetOfANumber(t *testing.T) {
	c, err := NewCache(CacheConfig{Capacity: 100})
	require.NoError(t, err)
	names := map[Key]string{}
	for i := range 2 {
		k := c.Key(fmt.Sprint("session ", i))
		names[k] = fmt.Sprint("target ", i)
		c.Set(k, names[k])
	}
	first := true
	for k, b := range c.All() {
		require.Equal(t, names[k], b.Target)
		if !first {
			continue
		}
		first = false
		for other := range names {
			if other != k {
				c.Delete(other)
			}
		}
		// Each of these gives up a number and is given the next one.
		for i := range 1100 {
			c.Set(c.Key(fmt.Sprint("new ", i%64)), fmt.Sprint("new target ", i))
		}
	}
}

// The same with few numbers, none of which is in quarantine for long.
func TestCountsWhenNumbersAreScarce(t *testing.T) {
	c, err := NewCache(CacheConfig{Capacity: 100})
	require.NoError(t, err)
	c.targets = registry.New(2)
	c.table = table.New(100, int64(leaseLimit), c.targets)
	a, b := c.Key("a"), c.Key("b")
	was := map[Key]string{a: "A", b: "B"}
	c.Set(a, "A")
	c.Set(b, "B")
	first := true
	for k, bound := range c.All() {
		require.Equal(t, was[k], bound.Target)
		if first {
			first = false
			for other := range was {
				if other != k {
					c.Delete(other)
				}
			}
			c.Set(c.Key("c"), "C")
			c.Set(c.Key("d"), "D")
		}
	}
}
