package balance_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
)

// pauses teaches b what becomes of a prompt after a pause: conversations come
// back after it, to where they were.
func pauses(b affinity.Balancer[*target], id string, pause time.Duration, n int, cached int) {
	for i := range n {
		conversation := 1_000_000*len(id) + 1000*int(pause/time.Second) + i
		req := prompt(conversation, 0, 400_000)
		b.Settle(id, b.Charge(req, id, false), served(100_000, 0, 1))
		pass(pause)
		b.Settle(id, b.Charge(req, id, true), served(100_000-cached, cached, 1))
	}
}

// reports has the target t0 report cached tokens once, of a prompt that it was not sent before. Until
// then, what it reports says nothing.
func reports(b affinity.Balancer[*target]) {
	b.Settle("t0", b.Charge(prompt(900_000, 0, 400_000), "t0", false), served(99_000, 1000, 1))
}

func TestBeliefIsLearned(t *testing.T) {
	// cost is what a prompt is expected to cost where it was some time ago.
	cost := func(b affinity.Balancer[*target], id string, pause time.Duration) float64 {
		req := prompt(int(pause)+len(id), 0, 400_000)
		b.Charge(req, id, false)
		pass(pause)
		return b.Charge(req, id, true).Cost
	}
	const young, minutes, long = time.Minute, 8 * time.Minute, 40 * time.Minute
	const warm, cold = 15_000, 80_000 // at most and at least; 12,000 and 102,000

	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		for _, pause := range []time.Duration{young, minutes, long} {
			assert.Less(t, cost(b, "t0", pause), float64(warm), "%v: believed at first", pause)
		}
		assert.Greater(t, cost(b, "t0", 61*time.Minute), float64(cold), "nothing lives that long")
	})
	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		reports(b)
		pauses(b, "t0", minutes, 20, 0)
		pauses(b, "t0", young, 20, 100_000)
		assert.Greater(t, cost(b, "t0", minutes), float64(cold), "of five minutes")
		assert.Less(t, cost(b, "t0", young), float64(warm))
		assert.Greater(t, cost(b, "t22", minutes), float64(cold), "others are like it, as far as is known")
		pauses(b, "t22", minutes, 40, 100_000)
		assert.Less(t, cost(b, "t22", minutes), 35_000.0, "it has shown that it keeps more")
		assert.Greater(t, cost(b, "t0", minutes), 70_000.0, "which is not to say that the first does")
		pauses(b, "t0", minutes, 40, 100_000)
		assert.Less(t, cost(b, "t0", minutes), 20_000.0, "what is learned can be unlearned")
	})
	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		pauses(b, "t0", minutes, 40, 60_000)
		assert.InDelta(t, 50_000, cost(b, "t0", minutes), 10_000, "it keeps a part")
	})
	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		reports(b)
		for i := range 20 {
			req := prompt(i, 0, 400_000)
			b.Charge(req, "t0", false)
			pass(minutes)
			b.Settle("t0", b.Charge(req, "t0", true), served(100_000*(1-i%2), 100_000*(i%2), 1))
		}
		assert.InDelta(t, 57_000, cost(b, "t0", minutes), 15_000, "the last one is no more than one of them")
	})
	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		pauses(b, "t0", young, 40, 0)
		pauses(b, "t0", minutes, 40, 0)
		assert.Less(t, cost(b, "t0", young), float64(warm), "it may have a cache and not say so")
		assert.Less(t, cost(b, "t0", minutes), float64(warm), "likewise")
		assert.Less(t, cost(b, "t22", young), float64(warm), "nor does it tell of others")
		reports(b)
		pauses(b, "t0", young, 40, 0)
		assert.Greater(t, cost(b, "t0", young), float64(cold), "a cache that is too small holds nothing")
	})
	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		reports(b)
		for i := range 40 {
			req := prompt(i, 0, 400_000)
			b.Settle("t0", b.Charge(req, "t0", false), served(100_000, 0, 1))
			pass(minutes)
			result := []affinity.Result{affinity.Neutral, affinity.TransientFailure, affinity.TerminalFailure}[i%3]
			b.Settle("t0", b.Charge(req, "t0", true), affinity.Outcome{Result: result, Usage: affinity.Usage{Uncached: 100_000, Output: 1}})
		}
		assert.Less(t, cost(b, "t0", minutes), float64(warm), "what was not served tells nothing")
	})
	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		pauses(b, "t0", young, 40, 90_000)
		assert.Less(t, cost(b, "t0", young), float64(warm), "what was lacking was not finished")
	})
}

// Whatever is the least that is cached, of a prompt that was nowhere nothing is learned.
func TestNewPromptsTeachNothing(t *testing.T) {
	for _, least := range []int{-1, 0} {
		synctest.Test(t, func(t *testing.T) {
			b := balance.Prefix(balance.PrefixConfig[*target]{
				CostConfig: balance.CostConfig[*target]{ID: nameOf}, MinTokens: least, Boundaries: turnCuts,
			})
			reports(b)
			for i := range 10 {
				first := b.Charge(prompt(i, 0, 400_000), "t0", false)
				b.Settle("t0", first, served(100_000, 0, 400))
				assert.Less(t, b.Charge(prompt(i, 0, 400_000), "t0", true).Cost, first.Cost/5)
			}
		})
	}
}

// What a target has of a short prompt, or of what is little more than it was sent just
// now, tells nothing.
func TestTooLittleToTell(t *testing.T) {
	const minutes = 8 * time.Minute
	for name, teach := range map[string]func(b affinity.Balancer[*target], i int){
		"a short prompt": func(b affinity.Balancer[*target], i int) {
			b.Settle("t0", b.Charge(prompt(i, 0, 3600), "t0", false), served(900, 0, 400))
			pass(minutes)
			b.Settle("t0", b.Charge(prompt(i, 0, 3600), "t0", true), served(900, 0, 400))
		},
		"a little more": func(b affinity.Balancer[*target], i int) {
			b.Charge(prompt(i, 0, 405_000), "t0", false)
			pass(minutes)
			b.Charge(prompt(i, 0, 401_408), "t0", true)
			b.Settle("t0", b.Charge(prompt(i, 0, 405_000), "t0", true), served(1000, 100_250, 400))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
				reports(b)
				for i := range 30 {
					teach(b, i)
				}
				req := prompt(100, 0, 400_000)
				b.Charge(req, "t0", false)
				pass(minutes)
				assert.Less(t, b.Charge(req, "t0", true).Cost, 15_000.0)
			})
		})
	}
}

// A target that has more of prompts than it was sent does not have more of others for that.
func TestBeliefIsNoMoreThanAll(t *testing.T) {
	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		cost := 0.0
		for i := range 30 {
			b.Charge(prompt(i, 0, 204_800), "t0", false)
			pass(8 * time.Minute)
			ticket := b.Charge(prompt(i, 0, 409_600), "t0", false)
			cost = ticket.Cost
			b.Settle("t0", ticket, served(0, 102_400, 400))
		}
		assert.InDelta(t, 51_200+5120+2000, cost, 5000, "half of it")
	})
}

// One that lacks even what it was sent just now lacks no more than all of the rest.
func TestBeliefIsNoLessThanNothing(t *testing.T) {
	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		for i := range 37 {
			b.Charge(prompt(i, 0, 409_600), "t0", false)
			pass(8 * time.Minute)
			b.Charge(prompt(i, 0, 204_800), "t0", true)
			cached := 0
			if i == 0 || i >= 30 { // the first says that it reports what is cached
				cached = 102_400
			}
			b.Settle("t0", b.Charge(prompt(i, 0, 409_600), "t0", true), served(102_400-cached, cached, 400))
		}
		req := prompt(100, 0, 409_600)
		b.Charge(req, "t0", false)
		pass(8 * time.Minute)
		assert.InDelta(t, 51_200+5120+2000, b.Charge(req, "t0", true).Cost, 5000, "half of the last were all there")
	})
}

// What it has beyond what it was sent just now counts as part of the rest, not of all.
func TestBeliefInTheRest(t *testing.T) {
	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		for i := range 30 {
			b.Charge(prompt(i, 0, 409_600), "t0", false)
			pass(8 * time.Minute)
			b.Charge(prompt(i, 0, 204_800), "t0", true)
			b.Settle("t0", b.Charge(prompt(i, 0, 409_600), "t0", true), served(0, 102_400, 400))
		}
		req := prompt(100, 0, 400_000)
		b.Charge(req, "t0", false)
		pass(8 * time.Minute)
		assert.Less(t, b.Charge(req, "t0", true).Cost, 15_000.0)
	})
}

// Of a prompt that a target was sent in part just now and in whole some time ago, what
// it has beyond the former tells of the latter.
func TestBeliefInWhatIsOlder(t *testing.T) {
	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		for i := range 30 {
			b.Charge(prompt(i, 0, 409_600), "t0", false)
			pass(8 * time.Minute)
			b.Charge(prompt(i, 0, 204_800), "t0", true)
			b.Settle("t0", b.Charge(prompt(i, 0, 409_600), "t0", true), served(51_200, 51_200, 400))
		}
		req := prompt(100, 0, 400_000)
		b.Charge(req, "t0", false)
		pass(8 * time.Minute)
		assert.Greater(t, b.Charge(req, "t0", true).Cost, 80_000.0, "nothing was there after eight minutes")

		req = prompt(101, 0, 409_600)
		b.Charge(req, "t0", false)
		pass(8 * time.Minute)
		b.Charge(prompt(101, 0, 204_800), "t0", true)
		assert.InDelta(t, 51_200+5120+2000, b.Charge(req, "t0", true).Cost, 5000, "but what was sent since")
	})
	// A request that was not served teaches nothing.
	for _, result := range []affinity.Result{affinity.Neutral, affinity.TransientFailure} {
		bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
			for i := range 30 {
				req := prompt(i, 0, 400_000)
				b.Settle("t0", b.Charge(req, "t0", false), served(100_000, 0, 400))
				pass(8 * time.Minute)
				b.Settle("t0", b.Charge(req, "t0", true), affinity.Outcome{Result: result, Usage: affinity.Usage{Uncached: 100_000}})
			}
			req := prompt(100, 0, 400_000)
			b.Charge(req, "t0", false)
			pass(8 * time.Minute)
			assert.Less(t, b.Charge(req, "t0", true).Cost, 20_000.0)
		})
	}
}
