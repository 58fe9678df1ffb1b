package balance_test

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

// balancers are the pickers that know what requests cost.
var balancers = []struct {
	name string
	new  func(cfg balance.CostConfig[*target]) affinity.Balancer[*target]
}{
	{"LeastCost", newLeastCost},
	{"Prefix", newPrefix},
}

func newLeastCost(cfg balance.CostConfig[*target]) affinity.Balancer[*target] {
	cfg.ID = nameOf
	return balance.LeastCost(cfg)
}

// newPrefix returns a Prefix for requests that turn has made.
func newPrefix(cfg balance.CostConfig[*target]) affinity.Balancer[*target] {
	cfg.ID = nameOf
	return balance.Prefix(balance.PrefixConfig[*target]{CostConfig: cfg, Boundaries: turnCuts})
}

// eachBalancer runs a test for all of them, in bubbles of their own.
func eachBalancer(t *testing.T, f func(t *testing.T, create func(cfg balance.CostConfig[*target]) affinity.Balancer[*target])) {
	for _, b := range balancers {
		t.Run(b.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, b.new) })
		})
	}
}

// sized returns a request whose body has so many bytes, which nobody reads.
func sized(bytes int) *extract.Request { return &extract.Request{Body: zeros[:bytes:bytes]} }

var zeros = make([]byte, 1<<25)

// pass lets time go by in a bubble.
func pass(d time.Duration) { <-time.After(d) }

// place is Place where it cannot fail.
func place(t testing.TB, b affinity.Balancer[*target], req *extract.Request, ts []*target) (*target, affinity.Ticket) {
	t.Helper()
	got, ticket, err := b.Place(t.Context(), req, ts)
	require.NoError(t, err)
	return got, ticket
}

func served(uncached, cached, output int) affinity.Outcome {
	return affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: uncached, Cached: cached, Output: output}}
}

// spend has a target serve a request that costs so many tokens.
func spend(b affinity.Balancer[*target], id string, tokens int) {
	b.Settle(id, b.Charge(nil, id, false), served(tokens, 0, 0))
}

// bring places so many sessions, one a minute, each of eleven requests like that, so
// that work is expected of others.
func bring(t testing.TB, b affinity.Balancer[*target], ts []*target, sessions int, o affinity.Outcome) {
	t.Helper()
	for range sessions {
		got, ticket := place(t, b, nil, ts)
		b.Settle(got.name, ticket, o)
		for range 10 {
			b.Settle(got.name, b.Charge(nil, got.name, true), o)
		}
		pass(time.Minute)
	}
}

// fee is what a request costs beside its tokens.
const fee = 2000

// loads returns by how much more each target is loaded than the least loaded of
// them, within the cost of one request. It finds out by placing requests, which
// fill the other targets up, until every target was chosen. b is left as it was,
// but for what it expects of sessions.
func loads(t testing.TB, b affinity.Balancer[*target], ts []*target) []float64 {
	t.Helper()
	var chosen []affinity.Ticket
	var who []*target
	// What is chosen is charged until another one is: the charges tell.
	have := map[string]float64{}
	for range 100_000 {
		got, ticket := place(t, b, nil, ts)
		who, chosen = append(who, got), append(chosen, ticket)
		have[got.name] += ticket.Cost + fee
		if len(have) == len(ts) {
			break
		}
	}
	for i := range who {
		b.Cancel(who[i].name, chosen[i])
	}
	last := who[len(who)-1].name
	top := have[last]
	diff := make([]float64, len(ts))
	for i, x := range ts {
		diff[i] = top - have[x.name]
	}
	return diff
}

func TestLeastDecayedCostIsTaken(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{HalfLife: time.Minute}), targets(3)
		for i, tokens := range []int{300_000, 100_000, 200_000} {
			spend(b, ts[i].name, tokens)
		}
		for range 20 {
			require.Same(t, ts[1], pick[*target](t, b, nil, ts), "t1 has the least for some time")
		}
		pass(time.Hour)
		spend(b, ts[0].name, 20_000)
		require.NotSame(t, ts[0], pick[*target](t, b, nil, ts), "what was an hour ago is nothing now")
	})
}

func TestHalfLife(t *testing.T) {
	for _, halfLife := range []time.Duration{0, time.Second, time.Hour} {
		for _, more := range []int{45_000, 55_000} {
			eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
				b, ts := create(balance.CostConfig[*target]{HalfLife: halfLife}), targets(2)
				spend(b, "t0", 100_000)
				if halfLife == 0 {
					halfLife = balance.DefaultHalfLife
				}
				for range 100 { // decay adds up
					pass(halfLife / 100)
					b.Settle("t0", b.Charge(nil, "t0", true), affinity.Outcome{})
					b.Settle("t1", b.Charge(nil, "t1", true), affinity.Outcome{})
				}
				spend(b, "t1", more)
				want := ts[0]
				if more < 50_000 {
					want = ts[1]
				}
				require.Same(t, want, pick[*target](t, b, nil, ts))
			})
		}
	}
}

func TestAllOfEqualLoadAreTaken(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		ts := targets(5)
		counts := make([]float64, len(ts))
		for range 3000 {
			i, _ := strconv.Atoi(pick[*target](t, create(balance.CostConfig[*target]{}), nil, ts).name[1:])
			counts[i]++
		}
		requireShares(t, equal(len(ts)), counts)
	})
}

// Sixty-four goroutines that place at the same time would all see the same
// minimum if a placement were not charged at once.
func TestConcurrentPlacementsSeeEachOther(t *testing.T) {
	for _, policy := range balancers {
		t.Run(policy.name, func(t *testing.T) {
			b, ts := policy.new(balance.CostConfig[*target]{}), targets(16)
			counts := make([]int, len(ts))
			var mu sync.Mutex
			var wg sync.WaitGroup
			start := make(chan struct{})
			for range 64 {
				wg.Go(func() {
					<-start
					for range 16 {
						got, _, _ := b.Place(t.Context(), sized(10_000), ts)
						i, _ := strconv.Atoi(got.name[1:])
						mu.Lock()
						counts[i]++
						mu.Unlock()
					}
				})
			}
			close(start)
			wg.Wait()
			for _, n := range counts {
				require.Equal(t, 64, n, "%v", counts)
			}
		})
	}
}

func TestEstimateGrowsWithTheBody(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{}), targets(2)
		small, large := sized(4_000), sized(400_000)
		first, _ := place(t, b, large, ts)
		for range 10 {
			got, _ := place(t, b, small, ts)
			require.NotSame(t, first, got, "ten small ones are less than a large one")
		}
		cold, warm := b.Charge(large, "t0", false), b.Charge(large, "t0", true)
		assert.InDelta(t, 90_000+1000+2000, cold.Cost, 1, "0.9 of 100,000 tokens, a tenth of the rest, and 400 of an answer")
		assert.InDelta(t, 10_000+9000+2000, warm.Cost, 1)
		assert.Positive(t, b.Charge(nil, "t0", true).Cost, "nothing is known but that there will be an answer")
	})
}

func TestOutcomeTakesThePlaceOfTheEstimate(t *testing.T) {
	use := func(cost int) affinity.Usage { return affinity.Usage{Uncached: cost} }
	tests := []struct {
		name    string
		outcome affinity.Outcome
		want    float64 // what the request has cost; -1 is the estimate
	}{
		{"served", affinity.Outcome{Result: affinity.Served, Usage: use(70_000)}, 70_000},
		{"served for less", affinity.Outcome{Result: affinity.Served, Usage: use(100)}, 100},
		{"cached and output", affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: 1, Cached: 10_000, Output: 3000}}, 16_001},
		{"client left, usage known", affinity.Outcome{Usage: use(100)}, 100},
		{"served, usage unknown", affinity.Outcome{Result: affinity.Served}, -1},
		{"neutral", affinity.Outcome{}, -1},
		{"transient failure", affinity.Outcome{Result: affinity.TransientFailure}, -1},
		{"terminal failure", affinity.Outcome{Result: affinity.TerminalFailure}, -1},
		{"failed cheaply", affinity.Outcome{Result: affinity.TransientFailure, Usage: use(10)}, -1},
		{"failed for good, cheaply", affinity.Outcome{Result: affinity.TerminalFailure, Usage: use(10)}, -1},
		{"failed dearly", affinity.Outcome{Result: affinity.TransientFailure, Usage: use(70_000)}, 70_000},
		{"negative", affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: -1, Output: 7}}, -1},
		{"all negative", affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: math.MinInt, Cached: math.MinInt, Output: math.MinInt}}, -1},
		{"absurd", affinity.Outcome{Result: affinity.Served, Usage: use(math.MaxInt)}, -1},
		{"absurd prompt", affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: 1 << 23}}, -1},
		{"absurd cache", affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Cached: 1 << 23}}, -1},
		{"absurd output", affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: 5, Output: 1 << 23}}, -1},
	}
	for _, test := range tests {
		for _, halfLives := range []int{0, 2} {
			t.Run(test.name+"/"+strconv.Itoa(halfLives), func(t *testing.T) {
				eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
					b, ts := create(balance.CostConfig[*target]{HalfLife: time.Minute}), targets(2)
					ticket := b.Charge(sized(160_000), "t0", false)
					want := test.want
					if want < 0 {
						want = ticket.Cost
					}
					pass(time.Duration(halfLives) * time.Minute)
					for _, target := range ts { // others are charged meanwhile
						b.Charge(nil, target.name, true)
					}
					b.Settle("t0", ticket, test.outcome)
					pass(time.Minute)
					want = (want + fee) / float64(int(2)<<halfLives)

					diff := loads(t, b, ts)
					// One is chosen until it has more than the other.
					assert.InDelta(t, want, diff[0]-diff[1], 5000, "%v", diff)
				})
			})
		}
	}
}

// What costs nothing is known to cost nothing.
func TestOutcomeWithoutCost(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{Cost: func(u affinity.Usage) float64 { return float64(u.Uncached) }}), targets(2)
		b.Settle("t0", b.Charge(sized(400_000), "t0", false), served(0, 100_000, 10))
		spend(b, "t1", 1000)
		require.Same(t, ts[0], pick[*target](t, b, nil, ts))
	})
}

func TestCancelTakesTheChargeBack(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{HalfLife: time.Minute}), targets(2)
		spend(b, "t1", 10_000)
		got, ticket := place(t, b, sized(4_000_000), ts)
		require.Same(t, ts[0], got)
		require.Same(t, ts[1], pick[*target](t, b, nil, ts))
		pass(time.Minute)
		b.Cancel("t0", ticket)
		require.Same(t, ts[0], pick[*target](t, b, nil, ts))
	})
}

// A target that fails at once, or answers 404 at once, has nothing to do. It
// must not get all new sessions for that.
func TestBlackHoleAttractsNobody(t *testing.T) {
	for _, result := range []affinity.Result{affinity.TransientFailure, affinity.TerminalFailure, affinity.Neutral} {
		t.Run(result.String(), func(t *testing.T) {
			eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
				b, ts := create(balance.CostConfig[*target]{}), targets(4)
				rng := rand.New(rand.NewPCG(1, 2))
				failed := 0
				for range 2000 {
					n := 1000 + rng.IntN(50_000)
					got, ticket := place(t, b, sized(4*n), ts)
					if got == ts[0] {
						failed++
						b.Settle("t0", ticket, affinity.Outcome{Result: result})
					} else {
						pass(time.Second)
						b.Settle(got.name, ticket, served(n, 0, 500))
					}
				}
				assert.InDelta(t, 500, failed, 75)
			})
		})
	}
}

func TestEstimatesAreLearned(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b := create(balance.CostConfig[*target]{})
		req := sized(100_000)
		for range 500 {
			b.Settle("t0", b.Charge(req, "t0", true), served(10_000, 40_000, 2000))
			b.Settle("t0", b.Charge(req, "t0", false), served(25_000, 25_000, 2000))
		}
		assert.InDelta(t, 10_000+4000+10_000, b.Charge(req, "t1", true).Cost, 300, "half a token to a byte, a fifth of them anew, and 2,000 of an answer")
		assert.InDelta(t, 25_000+2500+10_000, b.Charge(req, "t1", false).Cost, 300)
	})

	// A request that was placed tells of those that are cold.
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{}), targets(2)
		req := sized(100_000)
		for range 500 {
			got, ticket := place(t, b, req, ts)
			b.Settle(got.name, ticket, served(25_000, 25_000, 2000))
		}
		assert.InDelta(t, 25_000+2500+10_000, b.Charge(req, "t1", false).Cost, 300)
		assert.InDelta(t, 5000+4500+10_000, b.Charge(req, "t1", true).Cost, 300, "as it was")
	})
}

// Images make bodies large, and state on the server makes them small: neither
// says how many tokens there are to a byte of text.
func TestTokensToAByteAreLearnedFromTextOnly(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b := create(balance.CostConfig[*target]{})
		req := sized(100_000)
		before := b.Charge(req, "t0", false).Cost
		for range 500 {
			for _, req := range []*extract.Request{nil, sized(2000), sized(1_000_000)} {
				b.Settle("t0", b.Charge(req, "t0", false), served(9000, 1000, 400))
			}
			b.Settle("t0", b.Charge(sized(1000), "t0", false), served(810, 90, 400)) // most of it is the server's
		}
		assert.InEpsilon(t, before, b.Charge(req, "t0", false).Cost, 0.01)
	})
}

func TestFailuresTeachNothing(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b := create(balance.CostConfig[*target]{})
		req := sized(100_000)
		before := b.Charge(req, "t0", false).Cost
		for range 500 {
			for _, result := range []affinity.Result{affinity.Neutral, affinity.TransientFailure, affinity.TerminalFailure} {
				o := served(90_000, 0, 9000)
				o.Result = result
				b.Settle("t0", b.Charge(req, "t0", false), o)
			}
			b.Settle("t0", b.Charge(req, "t0", false), affinity.Outcome{Result: affinity.Served})
		}
		assert.Equal(t, before, b.Charge(req, "t0", false).Cost)
	})
}

// Whatever comes, loads stay numbers: the next placements are even.
func TestNonsenseIsHarmless(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{MaxShare: 1.25}), targets(3)
		rng := rand.New(rand.NewPCG(3, 4))
		times := []int64{0, 1, -1, math.MaxInt64, math.MinInt64}
		costs := []float64{0, nan, inf, -inf, -1, 1e300, math.MaxFloat64}
		ids := []string{"t0", "t1", "nobody", ""}
		usage := []int{0, -1, 1, math.MaxInt, math.MinInt}
		place(t, b, nil, ts)
		for range 5000 {
			ticket := affinity.Ticket{
				Time: times[rng.IntN(5)], Cost: costs[rng.IntN(7)], Memo: [2]uint64{rng.Uint64() >> rng.IntN(64), rng.Uint64() >> rng.IntN(64)},
			}
			if rng.IntN(8) == 0 {
				ticket.Memo[1] |= 0x7f80 << 48 // where it says what was expected: an infinity, or no number
			}
			b.Cancel(ids[rng.IntN(4)], ticket)
			b.Settle(ids[rng.IntN(4)], ticket, affinity.Outcome{Result: affinity.Result(rng.IntN(5)), Usage: affinity.Usage{
				Uncached: usage[rng.IntN(5)], Cached: usage[rng.IntN(5)], Output: usage[rng.IntN(5)],
			}})
			pass(time.Millisecond)
		}
		for _, id := range ids {
			b.Overloaded(id)
		}
		pass(24 * time.Hour)
		counts := map[string]int{}
		for range 300 {
			got, ticket := place(t, b, sized(40_000), ts)
			counts[got.name]++
			require.Positive(t, ticket.Cost)
			require.Less(t, ticket.Cost, 1e6)
		}
		for _, target := range ts {
			require.InDelta(t, 100, counts[target.name], 1, "%v", counts)
		}
	})
}

func TestCostInAnotherUnit(t *testing.T) {
	dollars := func(u affinity.Usage) float64 { return 3e-6*float64(u.Uncached) + 15e-6*float64(u.Output) }
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{Cost: dollars}), targets(4)
		assert.InDelta(t, 3e-6*90_000+15e-6*400, b.Charge(sized(400_000), "other", false).Cost, 1e-9)
		spent := map[string]float64{}
		rng := rand.New(rand.NewPCG(5, 6))
		for range 4000 {
			u := affinity.Usage{Uncached: rng.IntN(100_000), Cached: rng.IntN(1_000_000), Output: rng.IntN(1000)}
			got, ticket := place(t, b, sized(4*u.Uncached), ts)
			b.Settle(got.name, ticket, affinity.Outcome{Result: affinity.Served, Usage: u})
			spent[got.name] += dollars(u)
		}
		mean := (spent["t0"] + spent["t1"] + spent["t2"] + spent["t3"]) / 4
		for _, dollars := range spent {
			assert.InEpsilon(t, mean, dollars, 0.02)
		}
	})
}

// Prompts may cost nothing, where the quota is one of output, say.
func TestCostOfOutputOnly(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{Cost: func(u affinity.Usage) float64 { return float64(u.Output) }}), targets(4)
		counts := map[*target]int{}
		for i := range 400 {
			got, ticket := place(t, b, prompt(i, 0, 40_000), ts)
			b.Settle(got.name, ticket, served(10_000, 0, 400))
			counts[got]++
		}
		for _, x := range ts {
			assert.InDelta(t, 100, counts[x], 10)
		}
	})
}

func TestCostThatMakesNoSenseKeepsTheEstimate(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), -1, 1e16} {
		eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
			b, ts := create(balance.CostConfig[*target]{Cost: func(u affinity.Usage) float64 {
				if u.Output == 77 {
					return bad
				}
				return u.Cost()
			}}), targets(2)
			spend(b, "t1", 50_000)
			ticket := b.Charge(sized(400_000), "t0", false)
			b.Settle("t0", ticket, served(1, 0, 77))
			require.Same(t, ts[1], pick[*target](t, b, nil, ts), "t0 is charged with about 93,000")
			spend(b, "t1", 70_000)
			require.Same(t, ts[0], pick[*target](t, b, nil, ts))
		})
	}
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		for _, bad := range []float64{math.NaN(), math.Inf(1), -1, 0, 1e16} {
			b, ts := create(balance.CostConfig[*target]{Cost: func(affinity.Usage) float64 { return bad }}), targets(4)
			for range 100 {
				got, ticket := place(t, b, nil, ts)
				require.Zero(t, ticket.Cost)
				b.Settle(got.name, ticket, served(100, 0, 0))
			}
		}
	})
}

func TestTwiceTheWeightTakesTwiceTheCost(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{Weight: weightOf}), targets(5)
		for i, w := range []float64{1, 2, 4, 1, 1} {
			ts[i].weight = w
		}
		spent := make([]float64, len(ts))
		rng := rand.New(rand.NewPCG(7, 8))
		for i := range 8_000 {
			n := 1000 + rng.IntN(30_000)
			got, ticket := place(t, b, sized(4*n), ts)
			b.Settle(got.name, ticket, served(n, 0, 400))
			pass(100 * time.Millisecond)
			if i > 2000 {
				k, _ := strconv.Atoi(got.name[1:])
				spent[k] += float64(n + fee + 2000)
			}
		}
		for i, w := range []float64{1, 2, 4, 1, 1} {
			assert.InEpsilon(t, w, spent[i]*9/(spent[0]+spent[1]+spent[2]+spent[3]+spent[4]), 0.03, "%v", spent)
		}
	})
}

// Targets that were never candidates have no share: those whose sessions come from an
// earlier configuration, say.
func TestOverloadedOfWhoWasNoCandidate(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{MaxShare: 1.25}), targets(2)
		assert.False(t, b.Overloaded("unknown"))
		spend(b, "old", 1_000_000)
		assert.False(t, b.Overloaded("old"))
		place(t, b, nil, ts)
		assert.False(t, b.Overloaded("old"))
	})
}

// Where work goes on and nobody is placed, what is fair grows with it.
func TestOverloadedWithoutPlacements(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{MaxShare: 1.25}), targets(4)
		for range 8 {
			got, ticket := place(t, b, nil, ts)
			b.Settle(got.name, ticket, served(5000, 0, 500))
		}
		for i := range 100 {
			for _, to := range ts {
				spend(b, to.name, 10_000)
			}
			for _, to := range ts {
				assert.False(t, b.Overloaded(to.name), "all have the same, %d", i)
			}
			pass(time.Second)
		}
		// One that is left out, as a target that a session leaves, is measured by
		// the same.
		place(t, b, nil, ts[1:])
		for range 100 {
			for _, to := range ts {
				spend(b, to.name, 10_000)
			}
			pass(time.Second)
		}
		assert.False(t, b.Overloaded(ts[0].name))
		for range 100 {
			spend(b, ts[0].name, 20_000)
		}
		assert.True(t, b.Overloaded(ts[0].name))
		assert.False(t, b.Overloaded(ts[1].name))
	})
}

// A target with more than its share is given no new session, whatever is expected
// to come elsewhere.
func TestOverloadedTakesNoSession(t *testing.T) {
	for over := range 2 {
		eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
			b, ts := create(balance.CostConfig[*target]{MaxShare: 1.25}), targets(2)
			bring(t, b, ts, 100, served(100, 0, 20_000))
			pass(15 * time.Hour)
			for range 5 {
				b.Settle(ts[over].name, b.Charge(nil, ts[over].name, true), served(100, 0, 20_000))
			}
			for range 2 {
				got, _ := place(t, b, nil, ts)
				require.True(t, b.Overloaded(ts[over].name))
				require.Equal(t, ts[1-over], got)
			}
		})
	}
}

// A bound below the mean leaves those who have the least, each of them.
func TestLowBound(t *testing.T) {
	for _, share := range []float64{0.5, 1} {
		eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
			b, ts := create(balance.CostConfig[*target]{MaxShare: share}), targets(4)
			counts := map[*target]int{}
			for range 400 {
				got, ticket := place(t, b, nil, ts)
				b.Settle(got.name, ticket, served(10_000, 0, 400))
				counts[got]++
			}
			for _, x := range ts {
				assert.InDelta(t, 100, counts[x], 1)
			}
		})
	}
}

// A placement that was cancelled leaves nothing to be expected.
func TestCancelledPlacements(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{}), targets(2)
		bring(t, b, ts, 50, served(5000, 0, 0))
		pass(10 * time.Hour)
		b.Charge(nil, ts[1].name, true)
		for range 10 {
			got, ticket := place(t, b, nil, ts)
			require.Equal(t, ts[0], got)
			b.Cancel(got.name, ticket)
		}
	})
}

// Targets that take turns, each with all of the weight when it comes back and next to none
// while it stays, are charged with ever more for their absence. It must be forgotten in time.
func TestAbsencesOfWeightsThatJump(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{Weight: weightOf}), targets(2)
		spend(b, ts[0].name, 10_000)
		for i := range 400 {
			stays, back := ts[i%2], ts[(i+1)%2]
			stays.weight, back.weight = 1e-100, 1e100
			place(t, b, nil, []*target{stays})
			place(t, b, nil, []*target{stays, back})
			pass(time.Hour)
		}
		pass(200 * time.Hour)
		counts := map[*target]int{}
		ts[0].weight, ts[1].weight = 1, 1
		for range 10_000 {
			got, _ := place(t, b, nil, ts)
			counts[got]++
		}
		require.InDelta(t, counts[ts[0]], counts[ts[1]], 2)
	})
}

func TestOverloaded(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{MaxShare: 1.5, Weight: weightOf}), targets(4)
		ts[3].weight = 3
		require.False(t, b.Overloaded("t0"), "nothing is known")
		place(t, b, nil, ts)
		for range 10 {
			for i, tokens := range []int{20_000, 10_000, 10_000, 30_000} {
				spend(b, ts[i].name, tokens)
			}
		}
		place(t, b, nil, ts)
		for i, want := range []bool{true, false, false, false} {
			assert.Equal(t, want, b.Overloaded(ts[i].name), ts[i].name)
		}
		assert.False(t, b.Overloaded("nobody"))

		// Those that are there no more are no part of what is fair.
		for i := range 50 {
			place(t, b, nil, []*target{{name: "gone" + strconv.Itoa(i), weight: 1}})
		}
		place(t, b, nil, ts)
		for i, want := range []bool{true, false, false, false} {
			assert.Equal(t, want, b.Overloaded(ts[i].name), ts[i].name)
		}
		pass(time.Hour)
		assert.False(t, b.Overloaded("t0"), "it has nothing to do any more")
	})
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{MaxShare: 1.5}), targets(3)
		place(t, b, nil, ts[:2])
		spend(b, ts[1].name, 1_000_000)
		place(t, b, nil, []*target{ts[0], ts[2]})
		spend(b, ts[0].name, 200_000)
		assert.True(t, b.Overloaded("t0"), "the candidates of the last placement count")
	})
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{}), targets(4)
		place(t, b, nil, ts)
		spend(b, "t0", 1_000_000)
		place(t, b, nil, ts)
		assert.False(t, b.Overloaded("t0"), "there is no bound")
	})
}

// session is one of many in a simulation: it stays where it is, and is placed
// anew if that is gone.
type session struct {
	home  *target
	turns int
	next  int // second of the next turn
}

// traffic has sessions come in and stay for a while, second by second. It
// returns what targets were given per second from then on.
type traffic struct {
	b        affinity.Balancer[*target]
	rng      *rand.Rand
	sessions []*session
	turns    int // of a session, about
	every    int // seconds between them, about
	rate     float64
	second   int
}

func (w *traffic) run(t testing.TB, seconds int, up []*target) (cost, placed map[string]float64) {
	cost, placed = map[string]float64{}, map[string]float64{}
	alive := map[*target]bool{}
	for _, x := range up {
		alive[x] = true
	}
	for range seconds {
		pass(time.Second)
		w.second++
		for n := w.rate; n > 0; n-- {
			if n >= 1 || w.rng.Float64() < n {
				w.sessions = append(w.sessions, &session{turns: 1 + w.rng.IntN(2*w.turns), next: w.second})
			}
		}
		kept := w.sessions[:0]
		for _, s := range w.sessions {
			if s.next > w.second {
				kept = append(kept, s)
				continue
			}
			req := sized(80_000)
			var ticket affinity.Ticket
			u := affinity.Usage{Uncached: 2000, Cached: 18_000, Output: 400}
			if s.home == nil || !alive[s.home] {
				s.home, ticket = place(t, w.b, req, up)
				u.Uncached, u.Cached = 20_000, 0
				placed[s.home.name]++
			} else {
				ticket = w.b.Charge(req, s.home.name, true)
			}
			w.b.Settle(s.home.name, ticket, affinity.Outcome{Result: affinity.Served, Usage: u})
			cost[s.home.name] += u.Cost() + fee
			s.turns--
			s.next += 1 + w.rng.IntN(2*w.every)
			if s.turns > 0 {
				kept = append(kept, s)
			}
		}
		w.sessions = kept
	}
	return cost, placed
}

// shares divides by the mean of n.
func shares(of map[string]float64, n int) map[string]float64 {
	sum := 0.0
	for _, x := range of {
		sum += x
	}
	for k := range of {
		of[k] *= float64(n) / sum
	}
	return of
}

// After an outage, the target must not be given all new sessions until it has
// made up for what it missed, nor too few.
func TestRecoveryIsNoStampede(t *testing.T) {
	for _, test := range []struct {
		name         string
		turns, every int
		rate         float64
		outage, then int // seconds
		most, least  float64
	}{
		{"short sessions, short outage", 2, 1, 10, 5, 30, 1.1, 0.9},
		{"short sessions, long outage", 2, 1, 10, 60, 30, 1.1, 0.9},
		{"long sessions", 10, 5, 2, 60, 150, 1.1, 0.9},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
				ts := targets(4)
				w := &traffic{b: create(balance.CostConfig[*target]{HalfLife: time.Minute}), rng: rand.New(rand.NewPCG(9, 10)), turns: test.turns, every: test.every, rate: test.rate}
				w.run(t, 180, ts)
				cost, _ := w.run(t, 120, ts)
				for name, share := range shares(cost, 4) {
					require.InDelta(t, 1, share, 0.1, name)
				}
				cost, _ = w.run(t, test.outage, ts[1:])
				for name, share := range shares(cost, 3) {
					require.InDelta(t, 1, share, 0.2, name)
				}
				cost, placed := w.run(t, test.then, ts)
				t.Logf("cost %v, placed %v", shares(cost, 4), shares(placed, 4))
				assert.Less(t, cost["t0"], test.most)
				assert.Greater(t, cost["t0"], test.least)
			})
		})
	}
}

// What sessions are likely to bring yet counts where they were placed.
func TestWhatIsToComeCounts(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{}), targets(2)
		bring(t, b, ts, 100, served(100, 0, 20_000)) // a request costs 100,000 then, and ten are to come
		pass(100 * time.Hour)
		spend(b, ts[1].name, 300_000)
		for _, want := range ts { // the second one goes where more was done, and less is expected
			got, _ := place(t, b, nil, ts)
			require.Same(t, want, got)
			pass(time.Second)
		}
	})
}

// What a session has brought is not to come any more.
func TestWhatHasComeIsNotToCome(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{}), targets(2)
		bring(t, b, ts, 200, served(100, 0, 20_000)) // a request costs 100,000 then, and ten are to come
		pass(100 * time.Hour)
		got, ticket := place(t, b, nil, ts)
		b.Settle(got.name, ticket, served(100, 0, 20_000))
		for range 5 {
			b.Settle(got.name, b.Charge(nil, got.name, true), served(100, 0, 20_000))
		}
		other := ts[0]
		if got == other {
			other = ts[1]
		}
		spend(b, other.name, 1_300_000) // more than all of the session, and less than if the five counted twice
		next, _ := place(t, b, nil, ts)
		require.Same(t, got, next)
	})
}

// It counts by weight, as what has come does.
func TestWhatIsToComeCountsByWeight(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{Weight: weightOf}), targets(2)
		ts[0].weight, ts[1].weight = 4, 1
		bring(t, b, ts, 200, served(100, 0, 20_000))
		pass(100 * time.Hour)
		counts := map[string]int{}
		for range 50 {
			got, _ := place(t, b, nil, ts)
			counts[got.name]++
		}
		assert.InDelta(t, 40, counts["t0"], 2)
	})
}

// Sessions that start together must not go together, even if some targets hold
// what they begin with: what they cost comes later.
func TestSessionsThatStartTogetherSpread(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{}), targets(8)
		for conversation := range 100 {
			pass(10 * time.Second)
			got, ticket := place(t, b, turn(conversation, 0, 10), ts)
			b.Settle(got.name, ticket, served(10_000, 0, 100))
			for i := range 30 {
				b.Settle(got.name, b.Charge(turn(conversation, 0, 11+i), got.name, true), served(1000, 10_000+1000*i, 100))
			}
		}
		pass(10 * time.Hour) // nobody has any work
		placed := map[string]int{}
		for conversation := range 40 {
			got, _ := place(t, b, turn(200+conversation, 9, 10), ts)
			placed[got.name]++
			require.LessOrEqual(t, placed[got.name], 6, "%v", placed)
		}
	})
}

// A target that is new is given its share of new sessions, and no more, since it
// has missed nothing for want of work.
func TestNewTargetIsGivenItsShare(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		ts := targets(8)
		w := &traffic{b: create(balance.CostConfig[*target]{HalfLife: time.Minute}), rng: rand.New(rand.NewPCG(11, 12)), turns: 2, every: 1, rate: 10}
		w.run(t, 180, ts[1:])
		_, placed := w.run(t, 30, ts)
		assert.InDelta(t, 1, shares(placed, 8)["t0"], 0.3)
		_, placed = w.run(t, 120, ts)
		assert.InDelta(t, 1, shares(placed, 8)["t0"], 0.2)
	})
}

// Nor is it sure to be given the first one that comes.
func TestNewTargetIsNotFirst(t *testing.T) {
	first := 0
	for range 50 {
		eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
			b, ts := create(balance.CostConfig[*target]{}), targets(2)
			place(t, b, nil, ts[1:])
			spend(b, ts[1].name, 100_000)
			if got, _ := place(t, b, nil, ts); got == ts[0] {
				first++
			}
		})
	}
	assert.InDelta(t, 50, first, 40)
}

// A target that was away with more work than the others still has more when it is
// back.
func TestAbsenceForgivesNothing(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{}), targets(3)
		place(t, b, nil, ts)
		spend(b, ts[0].name, 1_000_000)
		pass(time.Minute)
		place(t, b, nil, ts[1:])
		for range 20 {
			got, _ := place(t, b, nil, ts)
			require.NotSame(t, ts[0], got)
		}
	})
}

// A target that was away for a half-life has missed half of what there is to do.
func TestAbsenceOfAHalfLife(t *testing.T) {
	for away := range 3 {
		eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
			b, ts := create(balance.CostConfig[*target]{HalfLife: time.Hour}), targets(3)
			others := slices.Delete(slices.Clone(ts), away, away+1)
			note(t, b, ts)
			for _, x := range others {
				spend(b, x.name, 1_000_000)
			}
			pass(time.Hour)
			for _, x := range others {
				spend(b, x.name, 500_000)
			}
			note(t, b, others)
			l := loads(t, b, ts)
			assert.InDelta(t, 500_000, l[(away+1)%3]-l[away], 20_000)
		})
	}
}

// note has targets be candidates, and nothing else.
func note(t testing.TB, b affinity.Balancer[*target], ts []*target) {
	t.Helper()
	got, ticket := place(t, b, nil, ts)
	b.Cancel(got.name, ticket)
}

// What a target had when it went away grows as what the others have, but does not shrink if those
// that stay have less.
func TestAbsenceWhileOthersChange(t *testing.T) {
	for name, test := range map[string]struct {
		had  [3]int // tokens; the first target goes away
		more int    // for each that stays
		stay int
		want float64
	}{
		"more to do, three times as much": {[3]int{250_000, 500_000, 500_000}, 1_000_000, 2, 735_000},
		"less to do":                      {[3]int{100_000, 300_000, 2_000_000}, 0, 1, 200_000},
	} {
		eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
			b, ts := create(balance.CostConfig[*target]{HalfLife: time.Hour}), targets(3)
			for i, tokens := range test.had {
				spend(b, ts[i].name, tokens)
			}
			note(t, b, ts)
			pass(time.Minute)
			stay := ts[1 : 1+test.stay]
			for _, x := range stay {
				if test.more > 0 {
					spend(b, x.name, test.more)
				}
			}
			note(t, b, stay)
			l := loads(t, b, ts[:1+test.stay])
			assert.InDelta(t, test.want, l[1]-l[0], 20_000, name)
		})
	}
}

// A target that had no work for a while, but could have had, makes up for it.
func TestIdleTargetIsTaken(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{HalfLife: time.Minute}), targets(3)
		for range 60 {
			pass(time.Second)
			place(t, b, nil, ts)
			spend(b, "t0", 50_000)
			spend(b, "t1", 50_000)
		}
		for range 20 {
			require.Same(t, ts[2], pick[*target](t, b, nil, ts))
		}
		// Nobody was placed for long, while two of them were busy.
		for range 60 {
			pass(time.Second)
			spend(b, "t0", 50_000)
			spend(b, "t1", 50_000)
		}
		for range 20 {
			require.Same(t, ts[2], pick[*target](t, b, nil, ts))
		}
	})
}

// A target that is seldom a candidate has missed most placements. Its turn comes
// all the same.
func TestListsOfCandidatesMayDiffer(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{}), targets(3)
		only, both := 0, 0
		for i := range 2000 {
			pass(time.Second)
			place(t, b, sized(400_000), ts[1:]) // a model that t0 does not have
			if i%5 == 0 {
				if got, _ := place(t, b, sized(400_000), ts); got == ts[0] {
					only++
				}
				both++
			}
		}
		assert.Greater(t, float64(only), 0.4*float64(both), "the others have work enough")
	})
}

// After a thousand half-lives next to nothing is left of a load, and of what the
// others had: the one divided by the other must not be.
func TestLongQuiet(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(cfg balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{HalfLife: time.Minute}), targets(3)
		place(t, b, nil, ts[:1])
		pass(1050 * time.Minute)
		x, _ := place(t, b, nil, ts[:2])
		other := ts[0]
		if x == other {
			other = ts[1]
		}
		pass(1200 * time.Minute)
		place(t, b, nil, []*target{other}) // x was left out of this one
		pass(time.Second)
		n := map[*target]int{}
		for range 300 {
			got, _ := place(t, b, nil, []*target{ts[2], other, x})
			n[got]++
		}
		for _, got := range ts {
			assert.InDelta(t, 100, n[got], 20, got.name)
		}
	})
}

func TestTargetsComeAndGo(t *testing.T) {
	for _, policy := range balancers {
		t.Run(policy.name, func(t *testing.T) {
			b, ts := policy.new(balance.CostConfig[*target]{}), targets(4)
			heap := func() uint64 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			before := heap()
			for i := range 300_000 {
				id := "pod-" + strconv.Itoa(i)
				b.Settle(id, b.Charge(nil, id, true), served(100, 0, 0))
			}
			// 8 MB, or 11, as the hashes of the map fall.
			assert.Less(t, float64(heap())-float64(before), 16e6, "bytes")
			for range 8 {
				place(t, b, nil, ts)
			}
			runtime.KeepAlive(b)
		})
	}
}

func TestBalancersDoNotAllocate(t *testing.T) {
	for _, policy := range balancers {
		t.Run(policy.name, func(t *testing.T) {
			b, ts, ctx := policy.new(balance.CostConfig[*target]{MaxShare: 1.25}), targets(64), t.Context()
			req := turn(1, 0, 40)
			round := func() {
				got, ticket, err := b.Place(ctx, req, ts)
				if err != nil {
					panic(err)
				}
				b.Settle(got.name, ticket, served(500, 9000, 100))
				b.Settle(got.name, b.Charge(req, got.name, true), served(500, 9000, 100))
				b.Settle(got.name, b.Charge(req, got.name, true), affinity.Outcome{Result: affinity.TransientFailure})
				b.Settle(got.name, b.Charge(nil, got.name, true), affinity.Outcome{})
				b.Overloaded(got.name)
			}
			for range 1000 { // every target has seen the prompt
				round()
			}
			require.Zero(t, testing.AllocsPerRun(100, round))
		})
	}
}

// TestConcurrentUse is for the race detector, and for loads that go wrong.
func TestConcurrentUse(t *testing.T) {
	for _, policy := range balancers {
		t.Run(policy.name, func(t *testing.T) {
			b, ts := policy.new(balance.CostConfig[*target]{MaxShare: 1.25, Weight: weightOf}), targets(8)
			var reqs []*extract.Request
			for i := range 32 {
				reqs = append(reqs, turn(i, 2, 5+i%7))
			}
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					for i := range 1000 {
						req := reqs[(g*7+i)%len(reqs)]
						from := (g + i) % 4
						got, ticket, err := b.Place(t.Context(), req, ts[from:])
						if err != nil {
							t.Error(err)
							return
						}
						second := b.Charge(req, got.name, true)
						b.Settle(got.name, second, affinity.Outcome{Result: affinity.Result(i % 4), Usage: affinity.Usage{Uncached: i, Cached: 100 * i, Output: g}})
						b.Overloaded(got.name)
						b.Charge(req, "other-"+strconv.Itoa(i), false)
						if i%3 == 0 {
							b.Settle(got.name, ticket, served(1000, 0, 10))
						} else if i%3 == 1 {
							b.(interface {
								Cancel(string, affinity.Ticket)
							}).Cancel(got.name, ticket)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// turns are the boundaries of requests that were made by a test.
var turns sync.Map

func turnCuts(req *extract.Request) []extract.Boundary {
	if cuts, ok := turns.Load(req); ok {
		return cuts.([]extract.Boundary)
	}
	return nil
}

// turn is a request of a conversation: so many boundaries, 4 kB apart, of which
// the first ones are those of any other.
func turn(conversation, common, boundaries int) *extract.Request {
	req := sized(boundaries * 4096)
	cuts := make([]extract.Boundary, boundaries)
	for i := range cuts {
		hash := uint64(i + 1)
		if i >= common {
			hash += uint64(conversation+1) << 32
		}
		cuts[i] = extract.Boundary{Hash: hash, Bytes: (i + 1) * 4096}
	}
	turns.Store(req, cuts)
	return req
}

// The unit of costs does not matter.
func TestUnitOfCosts(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		var went [2][]string
		for i, unit := range []float64{1, 1.0 / (1 << 20)} {
			b := create(balance.CostConfig[*target]{Cost: func(u affinity.Usage) float64 { return unit * u.Cost() }})
			ts := targets(4)
			for k := range ts { // no two are alike
				b.Charge(sized(10_000*(k+1)), ts[k].name, false)
			}
			for n := range 300 {
				pass(time.Second)
				got, ticket := place(t, b, prompt(n%40, 20_000, 40_000+4096*(n%7)), ts)
				b.Settle(got.name, ticket, served(2000+100*n, 5000, 400))
				b.Settle(got.name, b.Charge(prompt(n%40, 20_000, 80_000), got.name, true), served(1000, 19_000, 600))
				went[i] = append(went[i], got.name)
			}
		}
		require.Equal(t, went[0], went[1])
	})
}

// While a target of small weight does all the work, its load by weight is beyond all
// others. Those that come back then, one after the other, are given no debt that lasts.
func TestRecoveryBesideABackup(t *testing.T) {
	for _, weight := range []float64{0.1, 0.01, 1e-3, 1e-6, 1e-9} {
		eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
			b, ts := create(balance.CostConfig[*target]{Weight: weightOf}), targets(3)
			ts[0].weight, ts[1].weight, ts[2].weight = 1, 1, weight
			run := func(d time.Duration, ts []*target) map[string]int {
				counts := map[string]int{}
				for end := time.Now().Add(d); time.Now().Before(end); pass(5 * time.Second) {
					got, ticket := place(t, b, sized(4000), ts)
					counts[got.name]++
					b.Settle(got.name, ticket, served(7000, 0, 200))
				}
				return counts
			}
			run(3*time.Hour, ts)
			run(10*time.Minute, ts[2:])
			run(5*time.Minute, []*target{ts[0], ts[2]})
			counts := run(time.Hour, ts)
			assert.InDelta(t, counts["t0"], counts["t1"], 80, "weight %g: %v", weight, counts)
		})
	}
}

// A target's load is not what it was as soon as weights change; none is out of the
// race for long, whatever they were.
func TestWeightsBeyondReason(t *testing.T) {
	most, least := math.MaxFloat64, math.SmallestNonzeroFloat64
	for _, weights := range [][]float64{{1, 1e-9}, {1, 1e-150}, {1, least}, {most, 1}, {most, most}, {least, least}, {most, least}} {
		for _, bound := range []float64{0, 1.25} {
			eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
				b, ts := create(balance.CostConfig[*target]{Weight: weightOf, MaxShare: bound}), targets(2)
				run := func(n int) map[string]int {
					counts := map[string]int{}
					for i := range n {
						in := ts
						if ts[0].weight != 1 || ts[1].weight != 1 {
							in = ts[i%2:] // the first one is away every other time
						}
						got, ticket := place(t, b, sized(4000), in)
						counts[got.name]++
						b.Settle(got.name, ticket, served(7000, 0, 200))
						pass(10 * time.Second)
					}
					return counts
				}
				ts[0].weight, ts[1].weight = weights[0], weights[1]
				run(300)
				ts[0].weight, ts[1].weight = 1, 1
				pass(5 * time.Hour)
				counts := run(300)
				assert.InDelta(t, 150, counts["t0"], 50, "%v, %g: %v", weights, bound, counts)
			})
		}
	}
}

// What is fair goes by weight, and so does what is more than that.
func TestOverloadedByWeight(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{Weight: weightOf, MaxShare: 1.5}), targets(2)
		ts[0].weight, ts[1].weight = 9, 1
		place(t, b, nil, ts)
		spend(b, ts[0].name, 800_000)
		spend(b, ts[1].name, 200_000) // twice its share
		assert.True(t, b.Overloaded(ts[1].name))
		assert.False(t, b.Overloaded(ts[0].name))
	})
}

// Work that goes on while nobody is placed is not what the next session will bring:
// after a night of it, placements go by what there was to do.
func TestAfterANightWithoutPlacements(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{}), targets(2)
		bring(t, b, ts, 100, served(1000, 10_000, 400))
		for end := time.Now().Add(8 * time.Hour); time.Now().Before(end); pass(10 * time.Second) {
			for i, to := range []*target{ts[0], ts[0], ts[0], ts[1]} {
				b.Settle(to.name, b.Charge(sized(44_000), to.name, true), served(1000, 10_000, 400+i))
			}
		}
		for range 20 {
			got, ticket := place(t, b, sized(44_000), ts)
			b.Settle(got.name, ticket, served(11_000, 0, 400))
			assert.Same(t, ts[1], got)
			pass(10 * time.Second)
		}
	})
}

// A body with images, or whatever else is no text, counts no more than the longest
// prompt: nobody may ever tell what it has cost.
func TestEstimateIsBounded(t *testing.T) {
	bodies := map[string]*extract.Request{"32 MB": sized(1 << 25), "beyond reason": turn(1, 0, 1)}
	turns.Store(bodies["beyond reason"], []extract.Boundary{{Hash: 1, Bytes: math.MaxInt}})
	for name, req := range bodies {
		eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
			b, ts := create(balance.CostConfig[*target]{}), targets(2)
			_, placed := place(t, b, req, ts)
			assert.LessOrEqual(t, placed.Cost, 1<<20+5*400.0, name)
			assert.LessOrEqual(t, b.Charge(req, ts[0].name, false).Cost, 1<<20+5*400.0, name)
		})
	}
}

// A small target is given its share where one session is about as much as that, neither
// one too many nor none.
func TestSmallTargetIsGivenItsShare(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{Weight: weightOf}), targets(3)
		ts[0].weight, ts[1].weight, ts[2].weight = 1, 60, 60
		counts := map[string]int{}
		for i := range 13 * 121 {
			got, ticket := place(t, b, prompt(i+1, 0, 80_000), ts)
			b.Settle(got.name, ticket, served(20_000, 0, 400))
			for range 20 {
				b.Settle(got.name, b.Charge(prompt(i+1, 0, 80_000), got.name, true), served(2000, 18_000, 1000))
			}
			if pass(time.Minute); i >= 3*121 {
				counts[got.name]++
			}
		}
		assert.InDelta(t, 10, counts["t0"], 2, "%v", counts)
		assert.InDelta(t, 600, counts["t1"], 10, "%v", counts)
	})
}

// A target without weight, whose quota is used up, say, is given nothing while there are
// others, and takes its share when it has some again.
func TestTargetWithoutWeight(t *testing.T) {
	for _, none := range []float64{0, -3, math.NaN(), math.Inf(-1)} {
		eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
			b, ts := create(balance.CostConfig[*target]{Weight: weightOf}), targets(3)
			sessions := 0
			run := func(weights ...float64) map[string]int {
				for i, w := range weights {
					ts[i].weight = w
				}
				counts := map[string]int{}
				for range 300 {
					sessions++
					got, ticket := place(t, b, prompt(sessions, 0, 4096), ts)
					b.Settle(got.name, ticket, served(1000, 0, 400))
					counts[got.name]++
					pass(10 * time.Second)
				}
				return counts
			}
			counts := run(none, 1, 1)
			assert.Zero(t, counts["t0"])
			assert.InDelta(t, 150, counts["t1"], 5)
			for name, n := range run(1, 1, 1) {
				assert.InDelta(t, 100, n, 15, name)
			}
			for name, n := range run(none, none, none) {
				assert.InDelta(t, 100, n, 15, name)
			}
		})
	}
}
