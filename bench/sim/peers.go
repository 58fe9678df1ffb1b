package main

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity/bench/internal/upstream"
)

// The policies of others are written after their published algorithms, with their
// own default settings. They know what a gateway in front of remote accounts knows:
// the requests, where it sent them, and which are under way.

// chooser is a policy that hears nothing of how requests end.
type chooser func(i int, now time.Duration, usable []int) int

// route implements router.
func (c chooser) route(_ context.Context, i int, now time.Duration, usable []int) (int, func(ended), error) {
	return c(i, now, usable), nil, nil
}

// roundRobin takes one after the other.
func roundRobin(d *driver, _ *rand.Rand) router {
	next := 0
	return chooser(func(_ int, _ time.Duration, usable []int) int {
		next++
		return usable[(next-1)%len(usable)]
	})
}

// random takes any, each with the same probability.
func random(_ *driver, r *rand.Rand) router {
	return chooser(func(_ int, _ time.Duration, usable []int) int { return usable[r.IntN(len(usable))] })
}

// least returns the upstream with the lowest value, at random among several.
func least(r *rand.Rand, usable []int, value func(u int) float64) int {
	lowest := math.Inf(1)
	var all []int
	for _, u := range usable {
		v := value(u)
		if v < lowest {
			lowest, all = v, all[:0]
		}
		if v == lowest {
			all = append(all, u)
		}
	}
	return all[r.IntN(len(all))]
}

// leastInFlight takes the one with the fewest requests under way.
func leastInFlight(d *driver, r *rand.Rand) router {
	return chooser(func(_ int, _ time.Duration, usable []int) int {
		return least(r, usable, func(u int) float64 { return float64(d.inflight[u]) })
	})
}

// rendezvous hashes the session: highest random weight.
func rendezvous(d *driver, r *rand.Rand) router {
	salt := strconv.FormatUint(r.Uint64(), 36)
	return chooser(func(i int, _ time.Duration, usable []int) int {
		session := salt + strconv.Itoa(d.trace.Requests[i].Session) + "@"
		return slices.MaxFunc(usable, func(a, b int) int {
			return cmp.Compare(xxhash.Sum64String(session+strconv.Itoa(a)), xxhash.Sum64String(session+strconv.Itoa(b)))
		})
	})
}

// boundedLoads is consistent hashing with bounded loads (Mirrokni, Thorup and
// Zadimoghaddam 2016) as proxies have it: the session goes to the first
// upstream on the ring whose requests under way, with this one, are at most 1.25
// times the mean, rounded up.
func boundedLoads(d *driver, r *rand.Rand) router {
	const points, factor = 160, 1.25
	type point struct {
		hash uint64
		u    int
	}
	salt := strconv.FormatUint(r.Uint64(), 36)
	var ring []point
	for u := range d.inflight {
		for p := range points {
			ring = append(ring, point{xxhash.Sum64String(salt + "u" + strconv.Itoa(u) + "-" + strconv.Itoa(p)), u})
		}
	}
	slices.SortFunc(ring, func(a, b point) int { return cmp.Compare(a.hash, b.hash) })
	return chooser(func(i int, _ time.Duration, usable []int) int {
		total := 1
		for _, u := range usable {
			total += d.inflight[u]
		}
		bound := int(math.Ceil(factor * float64(total) / float64(len(usable))))
		hash := xxhash.Sum64String(salt + "s" + strconv.Itoa(d.trace.Requests[i].Session))
		at, _ := slices.BinarySearchFunc(ring, hash, func(p point, h uint64) int { return cmp.Compare(p.hash, h) })
		for k := range ring {
			p := ring[(at+k)%len(ring)]
			if slices.Contains(usable, p.u) && d.inflight[p.u]+1 <= bound {
				return p.u
			}
		}
		return usable[0] // not reached: somebody is at the mean or below
	})
}

// sglang is the cache-aware policy of SGLang's gateway: one tree of all prompts
// that remembers who got them. A prompt of which more than the threshold is in
// the tree goes where the deepest part of that last went, any other to the
// upstream with the fewest requests under way; so does every prompt while these
// differ by more than 64 and more than half. The published code takes the first
// of several with the fewest; if fair, it takes one of them at random, which is
// kinder to it.
//
// The limit on the tree, 64 million characters an upstream, is out of reach of
// the traces here.
func sglang(threshold float64, fair bool) func(*driver, *rand.Rand) router {
	return func(d *driver, r *rand.Rand) router {
		const gap, ratio = 64, 1.5
		owner := slices.Repeat([]int{-1}, d.trie.Len()) // by segment
		return chooser(func(i int, _ time.Duration, usable []int) int {
			idle := slices.MinFunc(usable, func(a, b int) int { return cmp.Compare(d.inflight[a], d.inflight[b]) })
			if fair {
				idle = least(r, usable, func(u int) float64 { return float64(d.inflight[u]) })
			}
			lo, hi := slices.Min(d.inflight), slices.Max(d.inflight)
			end, prompt := d.trie.Path[i], d.trace.Requests[i].Prompt
			pick := idle
			if overloaded := hi-lo > gap && float64(hi) > ratio*float64(lo); !overloaded {
				deepest := end
				for deepest > 0 && owner[deepest] < 0 {
					deepest = d.trie.Parent[deepest]
				}
				share := float64(min(d.trie.Tokens(deepest), prompt)) / float64(prompt)
				if share > threshold {
					if pick = owner[deepest]; !slices.Contains(usable, pick) {
						return usable[0] // the published code does, and leaves the tree as it is
					}
				}
			}
			for s := end; s > 0; s = d.trie.Parent[s] {
				owner[s] = pick
			}
			return pick
		})
	}
}

// lmetric is LMetric as SGLang's gateway has it: the least product of what is
// new of the prompt to an upstream and its requests under way, plus one.
func lmetric(d *driver, _ *rand.Rand) router {
	seen := upstream.New(d.trie, upstream.Config{N: len(d.inflight), TTL: upstream.Forever})
	return chooser(func(i int, now time.Duration, usable []int) int {
		end, prompt := d.trie.Path[i], d.trace.Requests[i].Prompt
		pick := slices.MinFunc(usable, func(a, b int) int {
			newA, newB := prompt-seen.Hit(a, end, prompt, now), prompt-seen.Hit(b, end, prompt, now)
			return cmp.Or(
				cmp.Compare(newA*(d.inflight[a]+1), newB*(d.inflight[b]+1)),
				cmp.Compare(d.inflight[a], d.inflight[b]),
				cmp.Compare(newA, newB),
			)
		})
		seen.Serve(pick, end, prompt, now)
		return pick
	})
}

// The defaults of the prefix scorer that llm-d and the Gateway API Inference
// Extension share: 256 blocks of 16 tokens of a prompt count, and 31,250 blocks
// are remembered for each upstream, those that were used last.
const (
	scorerCap      = 256 * 16
	scorerCapacity = 31250 * 16
)

// prefixScorer scores an upstream by the share of the prompt that it was sent
// before, times prefix, and by its requests under way between the fewest (1) and
// the most (0), times load. The highest score wins, any of several at random.
func prefixScorer(prefix, load float64) func(*driver, *rand.Rand) router {
	return func(d *driver, r *rand.Rand) router {
		seen := upstream.New(d.trie, upstream.Config{N: len(d.inflight), TTL: upstream.Forever, Capacity: scorerCapacity})
		return chooser(func(i int, now time.Duration, usable []int) int {
			end := d.trie.Upto(d.trie.Path[i], scorerCap)
			prompt := min(d.trace.Requests[i].Prompt, scorerCap)
			lo, hi := math.MaxInt, 0
			for _, u := range usable {
				lo, hi = min(lo, d.inflight[u]), max(hi, d.inflight[u])
			}
			pick := least(r, usable, func(u int) float64 {
				score := prefix * float64(seen.Hit(u, end, prompt, now)) / float64(max(prompt, 1))
				if hi > lo {
					score += load * float64(hi-d.inflight[u]) / float64(hi-lo)
				}
				return -score
			})
			seen.Serve(pick, end, prompt, now)
			return pick
		})
	}
}
