// Package upstream models the prompt caches of upstreams: which prefixes each
// of them holds at what time, and so how much of a prompt it need not read
// again.
package upstream

import (
	"time"

	"github.com/go-affinity/affinity/bench/internal/trace"
)

// Config says what the caches are like.
type Config struct {
	N   int           // upstreams
	TTL time.Duration // a block's life after its last use

	// MinHit is the least number of tokens that counts as a hit.
	MinHit int

	// A block that was not there can be hit from Delay after its request came
	// in, and as long as it takes to read what was not cached at Rate tokens a
	// second. A Rate of 0 takes no time.
	Delay time.Duration
	Rate  float64

	// Capacity is how many tokens an upstream holds; 0 means any number. What
	// was used least recently goes first, the ends of prompts before their
	// beginnings.
	Capacity int
}

// Forever is a TTL that does not end.
const Forever = time.Duration(1 << 61)

// A Fleet is a number of upstreams, each with a cache of its own.
//
// A cache holds whole segments of a trie, but for those that were cut down to
// make room. It never holds a segment without its parent: each use of one is a
// use of all above it.
type Fleet struct {
	cfg    Config
	trie   *trace.Trie
	caches []cache
}

// cache is what one upstream holds. All slices are by segment.
type cache struct {
	expires []time.Duration // 0 if it was never there
	visible []time.Duration

	// With a capacity only: how many blocks are left, and a list of the
	// segments by last use. A segment comes behind its children, so the
	// first one is always an end.
	kept       []int32
	prev, next []int32 // the root, which is never in the list, is its anchor
	blocks     int
}

// New returns a Fleet of empty caches for the prompts of a trie.
func New(trie *trace.Trie, cfg Config) *Fleet {
	f := &Fleet{cfg: cfg, trie: trie, caches: make([]cache, cfg.N)}
	for i := range f.caches {
		c := &f.caches[i]
		c.expires = make([]time.Duration, trie.Len())
		c.visible = make([]time.Duration, trie.Len())
		if cfg.Capacity > 0 {
			c.kept = make([]int32, trie.Len())
			c.prev = make([]int32, trie.Len())
			c.next = make([]int32, trie.Len())
		}
	}
	return f
}

// Hit returns how many of the tokens of a prompt, which ends in seg, upstream u
// would take from its cache.
func (f *Fleet) Hit(u int, seg int32, tokens int, now time.Duration) int {
	c := &f.caches[u]
	for seg > 0 && (c.expires[seg] <= now || c.visible[seg] > now) {
		seg = f.trie.Parent[seg]
	}
	hit := f.trie.Tokens(seg)
	if c.kept != nil {
		hit -= int(f.trie.End[seg]-f.trie.Start(seg)-c.kept[seg]) * f.trie.Block
	}
	if hit = min(hit, tokens); hit < f.cfg.MinHit {
		return 0
	}
	return hit
}

// Held reports whether upstream u has seg or once had it.
func (f *Fleet) Held(u int, seg int32) bool { return f.caches[u].expires[seg] > 0 }

// Serve has upstream u read a prompt, and returns how many of its tokens were
// cached. Times must not go back.
func (f *Fleet) Serve(u int, seg int32, tokens int, now time.Duration) (cached int) {
	cached = f.Hit(u, seg, tokens, now)
	visible := now + f.cfg.Delay
	if f.cfg.Rate > 0 {
		visible += time.Duration(float64(tokens-cached) / f.cfg.Rate * float64(time.Second))
	}
	c := &f.caches[u]
	for s := seg; s > 0; s = f.trie.Parent[s] {
		if c.expires[s] <= now {
			c.visible[s] = visible
		} else {
			c.visible[s] = min(c.visible[s], visible)
		}
		c.expires[s] = now + f.cfg.TTL
		if c.kept != nil {
			c.touch(s, f.trie.End[s]-f.trie.Start(s))
		}
	}
	c.shrink(f.cfg.Capacity/f.trie.Block, now)
	return cached
}

// touch puts a segment, now whole, behind all others.
func (c *cache) touch(s, blocks int32) {
	if c.kept[s] > 0 {
		c.unlink(s)
	}
	c.blocks += int(blocks - c.kept[s])
	c.kept[s] = blocks
	last := c.prev[0]
	c.prev[s], c.next[s] = last, 0
	c.next[last], c.prev[0] = s, s
}

func (c *cache) unlink(s int32) {
	c.next[c.prev[s]], c.prev[c.next[s]] = c.next[s], c.prev[s]
}

// shrink makes room until no more than so many blocks are left; without a capacity,
// none are counted. What has
// expired is the first to go, since it was not used for longest.
func (c *cache) shrink(blocks int, now time.Duration) {
	for over := c.blocks - blocks; over > 0; over = c.blocks - blocks {
		s := c.next[0]
		cut := min(c.kept[s], int32(over))
		c.kept[s] -= cut
		c.blocks -= int(cut)
		if c.kept[s] == 0 {
			c.expires[s] = now
			c.unlink(s)
		}
	}
}
