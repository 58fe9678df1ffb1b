// Package census counts what goes by one name, roughly and in little room.
package census

import (
	"math"
	"math/bits"
	"sync"

	"github.com/go-affinity/affinity/internal/table"
)

// A Census estimates how many different things go by one key: each sets one of 64
// bits, and the bits that are still clear tell how many there were. The zero
// Census is ready for use. All methods are safe for concurrent use.
type Census struct {
	mu sync.Mutex
	m  map[table.Key]uint64
}

// Most bounds the keys that are watched. When there are more, some that were
// seen are forgotten.
const Most = 1 << 14

// See takes in a thing with the given hash that goes by k, and returns the
// estimate, which is close up to a hundred and says "hundreds" beyond.
func (c *Census) See(k table.Key, hash uint64) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = make(map[table.Key]uint64)
	}
	seen, ok := c.m[k]
	if !ok && len(c.m) >= Most {
		for old := range c.m {
			delete(c.m, old)
			break
		}
	}
	seen |= 1 << (hash % 64)
	c.m[k] = seen
	return estimates[bits.OnesCount64(seen)]
}

// estimates[n] is the likeliest number of things to have set n bits of 64.
var estimates = func() (e [65]int) {
	for n := range 64 {
		e[n] = int(math.Round(64 * math.Log(64/float64(64-n))))
	}
	e[64] = 64 * 6
	return e
}()
