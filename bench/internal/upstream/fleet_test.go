package upstream_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/bench/internal/trace"
	"github.com/go-affinity/affinity/bench/internal/upstream"
)

// traffic returns a trace whose prompts go on from earlier ones, most of them
// from recent ones.
func traffic(r *rand.Rand, n int) *trace.Trace {
	t := &trace.Trace{Block: 64}
	next := 1
	depth := []int{0}
	for i := range n {
		q := trace.Request{Parent: -1, New: r.IntN(8)}
		if i > 0 && r.IntN(10) > 0 {
			q.Attach = next - 1 - r.IntN(min(next, 20))
		}
		d := depth[q.Attach]
		for range q.New {
			d++
			depth = append(depth, d)
		}
		next += q.New
		q.Prompt = max(0, d*64-32+r.IntN(64)) // the last block may not be full, or be left out
		t.Requests = append(t.Requests, q)
	}
	return t
}

// naive is a cache as one would describe it: every block has its own times, and
// eviction looks for the block that is the oldest of those without a child.
type naive struct {
	cfg      upstream.Config
	parent   []int
	expires  map[int]time.Duration
	visible  map[int]time.Duration
	used     map[int]int // the number of the request, for order
	children map[int]int
	requests int
}

func (c *naive) drop(node int) {
	delete(c.expires, node)
	delete(c.visible, node)
	c.children[c.parent[node]]--
}

func (c *naive) serve(path []int, tokens int, now time.Duration) int {
	c.requests++
	for n := len(c.parent) - 1; n > 0; n-- { // children first
		if e, ok := c.expires[n]; ok && e <= now {
			c.drop(n)
		}
	}
	blocks := 0
	for _, n := range path {
		if v, ok := c.visible[n]; !ok || v > now {
			break
		}
		blocks++
	}
	hit := min(blocks*64, tokens)
	if hit < c.cfg.MinHit {
		hit = 0
	}
	visible := now + c.cfg.Delay
	if c.cfg.Rate > 0 {
		visible += time.Duration(float64(tokens-hit) / c.cfg.Rate * float64(time.Second))
	}
	for _, n := range path {
		if v, ok := c.visible[n]; ok {
			c.visible[n] = min(v, visible)
		} else {
			c.visible[n] = visible
			c.children[c.parent[n]]++
		}
		c.expires[n] = now + c.cfg.TTL
		c.used[n] = c.requests
	}
	for c.cfg.Capacity > 0 && len(c.expires) > c.cfg.Capacity/64 {
		oldest := -1
		for n := range c.expires {
			if c.children[n] == 0 && (oldest < 0 || c.used[n] < c.used[oldest]) {
				oldest = n
			}
		}
		c.drop(oldest)
	}
	return hit
}

// TestAgainstNaive serves random traffic from a Fleet and from caches that keep
// every block for itself.
func TestAgainstNaive(t *testing.T) {
	const upstreams = 3
	for name, cfg := range map[string]upstream.Config{
		"plain":     {TTL: time.Minute},
		"all":       {TTL: time.Minute, MinHit: 300, Delay: 500 * time.Millisecond, Rate: 500},
		"slow":      {TTL: 5 * time.Minute, Delay: 500 * time.Millisecond, Rate: 30},
		"for ever":  {TTL: upstream.Forever},
		"capacity":  {TTL: upstream.Forever, Capacity: 40*64 + 13},
		"short":     {TTL: 20 * time.Second, Capacity: 30 * 64},
		"tiny":      {TTL: time.Minute, Capacity: 5 * 64},
		"one block": {TTL: time.Minute, Capacity: 64},
	} {
		t.Run(name, func(t *testing.T) {
			hits := 0
			for seed := range uint64(15) {
				r := rand.New(rand.NewPCG(seed, 2))
				tr := traffic(r, 120)
				trie := tr.Trie()
				cfg.N = upstreams
				fleet := upstream.New(trie, cfg)

				parent := []int{-1}
				var paths [][]int
				for _, q := range tr.Requests {
					at := q.Attach
					for range q.New {
						parent = append(parent, at)
						at = len(parent) - 1
					}
					var path []int
					for ; at > 0; at = parent[at] {
						path = append([]int{at}, path...)
					}
					paths = append(paths, path)
				}
				var caches []*naive
				for range upstreams {
					caches = append(caches, &naive{cfg: cfg, parent: parent, expires: map[int]time.Duration{}, visible: map[int]time.Duration{}, used: map[int]int{}, children: map[int]int{}})
				}
				var now time.Duration
				for i, q := range tr.Requests {
					now += time.Duration(r.IntN(8000)) * time.Millisecond
					u := r.IntN(upstreams)
					peeked := fleet.Hit(u, trie.Path[i], q.Prompt, now)
					got := fleet.Serve(u, trie.Path[i], q.Prompt, now)
					require.Equal(t, caches[u].serve(paths[i], q.Prompt, now), got, "request %d of seed %d", i, seed)
					require.Equal(t, got, peeked)
					hits += got
				}
			}
			require.Positive(t, hits)
		})
	}
}

func TestHeld(t *testing.T) {
	tr := &trace.Trace{Block: 64, Requests: []trace.Request{{New: 20, Prompt: 1280, Parent: -1}, {Attach: 20, New: 20, Prompt: 2560, Parent: -1}}}
	trie := tr.Trie()
	f := upstream.New(trie, upstream.Config{N: 2, TTL: time.Minute})
	require.Zero(t, f.Serve(0, trie.Path[0], 1280, time.Second))
	require.True(t, f.Held(0, trie.Path[0]))
	require.False(t, f.Held(1, trie.Path[0]))
	require.False(t, f.Held(0, trie.Path[1]))
	require.Zero(t, f.Hit(0, trie.Path[0], 1280, time.Minute+time.Second), "expired")
	require.Equal(t, 1280, f.Serve(0, trie.Path[1], 2560, 30*time.Second))
	require.Equal(t, 1280, f.Hit(0, trie.Path[0], 1280, 80*time.Second), "the first half was used again")
}

func TestMinHit(t *testing.T) {
	tr := &trace.Trace{Block: 64, Requests: []trace.Request{{New: 16, Prompt: 1024, Parent: -1}, {New: 15, Prompt: 960, Parent: -1}}}
	trie := tr.Trie()
	f := upstream.New(trie, upstream.Config{N: 1, TTL: time.Minute, MinHit: 1024})
	for i, want := range []int{1024, 0} {
		f.Serve(0, trie.Path[i], tr.Requests[i].Prompt, 0)
		require.Equal(t, want, f.Serve(0, trie.Path[i], tr.Requests[i].Prompt, time.Second))
	}
}

// TestRenewed checks that a prompt that has just expired is read anew, and is
// not there before it has been.
func TestRenewed(t *testing.T) {
	tr := &trace.Trace{Block: 64, Requests: []trace.Request{{New: 20, Prompt: 1280, Parent: -1}}}
	trie := tr.Trie()
	f := upstream.New(trie, upstream.Config{N: 1, TTL: time.Minute, Delay: time.Second})
	f.Serve(0, trie.Path[0], 1280, 0)
	require.Zero(t, f.Serve(0, trie.Path[0], 1280, time.Minute))
	require.Zero(t, f.Hit(0, trie.Path[0], 1280, time.Minute+time.Millisecond))
	require.Equal(t, 1280, f.Hit(0, trie.Path[0], 1280, time.Minute+time.Second))
}
