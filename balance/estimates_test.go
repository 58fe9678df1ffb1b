package balance_test

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

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
		{"a long prompt", affinity.Outcome{Result: affinity.Served, Usage: use(4_194_304)}, 4_194_304},
		{"absurd prompt", affinity.Outcome{Result: affinity.Served, Usage: use(4_194_305)}, -1},
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
	for _, bad := range []float64{math.NaN(), math.Inf(1), -1, 1.01e15} {
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

// The unit of costs does not matter, whatever is paid for.
func TestUnitOfCosts(t *testing.T) {
	costs := map[string]func(affinity.Usage) float64{
		"all":    affinity.Usage.Cost,
		"output": func(u affinity.Usage) float64 { return float64(u.Output) },
		"cached": func(u affinity.Usage) float64 { return float64(u.Cached) },
	}
	for name, cost := range costs {
		eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
			var went [2][]string
			for i, unit := range []float64{1, 1.0 / (1 << 20)} {
				b := create(balance.CostConfig[*target]{Cost: func(u affinity.Usage) float64 { return unit * cost(u) }})
				ts := targets(4)
				for k := range ts { // no two are alike
					ticket := b.Charge(nil, ts[k].name, false)
					b.Settle(ts[k].name, ticket, served(0, 10_000*(k+1), 1000*(k+1)))
				}
				for n := range 300 {
					pass(time.Second)
					got, ticket := place(t, b, prompt(n%40, 20_000, 40_000+4096*(n%7)), ts)
					b.Settle(got.name, ticket, served(2000+100*n, 5000, 400+n))
					b.Settle(got.name, b.Charge(prompt(n%40, 20_000, 80_000), got.name, true), served(1000, 19_000+n, 600))
					went[i] = append(went[i], got.name)
				}
			}
			require.Equal(t, went[0], went[1], name)
		})
	}
}

// Few tokens may cost nothing, since costs are rounded.
func TestCostThatIsRounded(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{Cost: func(u affinity.Usage) float64 {
			return math.Floor(3e-4 * float64(u.Uncached)) // cents, for nothing else
		}}), targets(2)
		b.Settle("t0", b.Charge(nil, "t0", false), served(400_000, 0, 0))
		for range 20 { // a thirtieth of that
			b.Settle("t1", b.Charge(nil, "t1", false), served(700, 0, 0))
		}
		require.Same(t, ts[1], pick[*target](t, b, nil, ts))
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
