// Package census estimates how many different things share a key, in little memory.
package census

import (
	"math"
	"math/bits"
	"sync"

	"github.com/go-affinity/affinity/internal/table"
)

// A Census estimates how many different things share one key: each sets one of 64 bits,
// and the number of bits that are set tells how many things there were, most likely.
// (This is known as linear counting.) The zero Census is ready for use. All methods are
// safe for concurrent use.
type Census struct {
	mu   sync.Mutex
	seen map[table.Key]uint64 // the bits that are set
}

// most bounds the keys that are watched, and so the memory: to less than a megabyte.
// When there are more, some older key is forgotten for each new one: of a few, the one that
// the fewest things had in common.
const most = 1 << 14

// See takes in a thing with the key k, given a hash of it whose last bits are well mixed,
// and returns the estimate of how many have been seen. It is close up to a hundred; beyond
// that, it says no more than that there are hundreds.
func (c *Census) See(k table.Key, hash uint64) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = make(map[table.Key]uint64)
	}
	set, ok := c.seen[k]
	if !ok && len(c.seen) >= most {
		c.forget()
	}
	set |= 1 << (hash % 64)
	c.seen[k] = set
	return estimates[bits.OnesCount64(set)]
}

// forget forgets one of the keys.
func (c *Census) forget() {
	var victim table.Key
	least, looks := 65, 0
	for k, set := range c.seen { // which begins anywhere
		if n := bits.OnesCount64(set); n < least {
			victim, least = k, n
		}
		if looks++; looks == 8 {
			break
		}
	}
	delete(c.seen, victim)
}

// Has is Seen that also reports whether See would count nothing new: a thing with the key k
// and such a hash has been seen.
func (c *Census) Has(k table.Key, hash uint64) (n int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	set := c.seen[k]
	return estimates[bits.OnesCount64(set)], set>>(hash%64)&1 != 0
}

// Seen returns the estimate of how many things with the key k have been seen.
func (c *Census) Seen(k table.Key) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return estimates[bits.OnesCount64(c.seen[k])]
}

// estimates[n] is the likeliest number of things to have set n bits of 64. All bits are
// set by any number from some hundreds on, so the last is a guess.
var estimates = func() (e [65]int) {
	for n := range 64 {
		e[n] = int(math.Round(64 * math.Log(64/float64(64-n))))
	}
	e[64] = 64 * 6
	return e
}()
