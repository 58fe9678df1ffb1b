package balance_test

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
)

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
			b, ts := create(balance.CostConfig[*target]{HalfLife: time.Hour, Weight: func(*target) float64 { return 4 }}), targets(3)
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
	long(t)
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

// A weight that rises, as in a slow start, takes the share of work that it stands for, whether
// the target is new or was away. It is not given all new sessions, to have had as much work as
// if it always had been so large.
func TestSlowStart(t *testing.T) {
	for name, away := range map[string]int{"new": 0, "back": 60} {
		t.Run(name, func(t *testing.T) {
			eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
				ts := targets(4)
				w := &traffic{b: create(balance.CostConfig[*target]{HalfLife: time.Minute, Weight: weightOf}), rng: rand.New(rand.NewPCG(13, 14)), turns: 2, every: 1, rate: 10}
				if away > 0 {
					w.run(t, 180, ts)
				}
				w.run(t, max(away, 180), ts[1:])
				for _, weight := range []float64{0.1, 0.2, 0.4, 0.6, 0.8, 1, 1} {
					ts[0].weight = weight
					cost, _ := w.run(t, 10, ts)
					assert.InDelta(t, weight, shares(cost, 4)["t0"], 0.3, "weight %g", weight)
				}
			})
		})
	}
}

// Whether the largest target comes first or last makes no difference.
func TestOrderOfWeights(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		cfg := balance.CostConfig[*target]{Weight: weightOf}
		b, reversed, ts := create(cfg), create(cfg), targets(3)
		ts[0].weight, ts[1].weight, ts[2].weight = 4, 3, 0.1
		backward := slices.Clone(ts)
		slices.Reverse(backward)
		for i := range 100 {
			req, o := prompt(i%7, 0, 400_000), served(100_000, 0, 400)
			u, ticket, err := b.Place(t.Context(), req, ts)
			require.NoError(t, err)
			v, other, err := reversed.Place(t.Context(), req, backward)
			require.NoError(t, err)
			require.Equal(t, u.name, v.name, i)
			b.Settle(u.name, ticket, o)
			reversed.Settle(v.name, other, o)
			for range i % 10 { // sessions go on
				b.Settle(u.name, b.Charge(req, u.name, true), o)
				reversed.Settle(v.name, reversed.Charge(req, v.name, true), o)
			}
		}
	})
}

// So does one that falls, and then is back at once, as what is left of a quota; or that goes
// up and down all the time.
func TestWeightsThatChange(t *testing.T) {
	for name, weight := range map[string]func(second int) float64{
		"a quota of ten minutes": func(second int) float64 { return 1 - 0.95*float64(second%600)/600 },
		"every five minutes":     func(second int) float64 { return []float64{1, 0.1}[second/300%2] },
		"every ten seconds":      func(second int) float64 { return []float64{1, 0.1}[second/10%2] },
	} {
		t.Run(name, func(t *testing.T) {
			eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
				ts := targets(4)
				w := &traffic{b: create(balance.CostConfig[*target]{HalfLife: time.Minute, Weight: weightOf}), rng: rand.New(rand.NewPCG(15, 16)), turns: 2, every: 1, rate: 10}
				w.run(t, 180, ts)
				for second := 0; second < 1200; {
					given, fair := 0.0, 0.0
					for range 20 {
						ts[0].weight = weight(second)
						_, placed := w.run(t, 1, ts)
						given += placed["t0"]
						fair += 10 * ts[0].weight / (3 + ts[0].weight)
						second++
					}
					assert.InDelta(t, fair, given, 3+fair/4, "of 200 in the 20 seconds until %d", second)
				}
			})
		})
	}
}

// Whatever the weights were, and whoever was away, all have the same soon after they weigh the
// same.
func TestWeightsOfAnySize(t *testing.T) {
	for name, sizes := range map[string][]float64{
		"usual": {0, 0.01, 0.05, 0.1, 0.2, 0.5, 0.8, 1, 1, 1, 2, 4},
		"odd":   {0, -1, math.NaN(), math.Inf(1), math.Inf(-1), 1e-300, 1e300, 1e-9, 1e9, 1, 2, 0.5, 1e-3},
	} {
		for seed := range uint64(30) {
			eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
				b := create(balance.CostConfig[*target]{HalfLife: time.Minute, Weight: weightOf})
				rng, ts := rand.New(rand.NewPCG(seed, 2)), targets(4)
				ask := func(in []*target) *target {
					x, ticket := place(t, b, sized(4000), in)
					b.Settle(x.name, ticket, served(7000, 0, 200))
					return x
				}
				for range 400 {
					for _, x := range ts {
						if rng.IntN(5) == 0 {
							x.weight = sizes[rng.IntN(len(sizes))]
						}
					}
					from := rng.IntN(4)
					ask(ts[from : from+1+rng.IntN(4-from)])
					pass(time.Duration(rng.IntN(20)) * time.Second)
				}
				counts := map[*target]int{}
				for i := range 1200 {
					for _, x := range ts {
						x.weight = 1
					}
					if x := ask(ts); i >= 800 {
						counts[x]++
					}
					pass(time.Second)
				}
				for _, x := range ts {
					assert.InDelta(t, 100, counts[x], 20, "%s %d", name, seed)
				}
			})
		}
	}
}

// Nor is anybody out of the race for long where all weights have been tiny.
func TestWeightsThatChangeAlike(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{Weight: weightOf}), targets(2)
		note(t, b, ts)
		spend(b, ts[0].name, 900_000)
		spend(b, ts[1].name, 1_000_000)
		for _, weight := range []float64{0.05, 1, 1e-9, 1} {
			ts[0].weight, ts[1].weight = weight, weight
			note(t, b, ts)
		}
		l := loads(t, b, ts)
		assert.InDelta(t, 50_000, l[1]-l[0], 80_000)
	})
}

// The same where weights change while some are away, or where each placement has other candidates.
func TestWeightsThatChangeWithoutSome(t *testing.T) {
	left := func(second int) float64 { return 1.001 - float64(second%60)/59 } // of a quota for a minute
	for name, test := range map[string]struct {
		weight func(second, target int) float64
		up     func(second, target int, rng *rand.Rand) bool
	}{
		"one away before all quotas are back": {
			func(second, _ int) float64 { return left(second) },
			func(second, target int, _ *rand.Rand) bool { return target > 0 || second%60 < 50 },
		},
		"each away before its quota is back": {
			func(second, target int) float64 { return left(second + 15*target) },
			func(second, target int, _ *rand.Rand) bool { return left(second+15*target) > 0.15 },
		},
		"any, quotas of their own": {
			func(second, target int) float64 { return left(second + 15*target) },
			func(_, _ int, rng *rand.Rand) bool { return rng.IntN(10) < 7 },
		},
		"any, all quotas alike": {
			func(second, _ int) float64 { return left(second) },
			func(_, _ int, rng *rand.Rand) bool { return rng.IntN(10) < 7 },
		},
	} {
		for _, halfLife := range []time.Duration{time.Minute, time.Hour} {
			t.Run(name, func(t *testing.T) {
				eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
					b, ts := create(balance.CostConfig[*target]{HalfLife: halfLife, Weight: weightOf}), targets(4)
					rng, given, fair := rand.New(rand.NewPCG(17, 18)), map[*target]float64{}, map[*target]float64{}
					for second := range 900 {
						for range 10 {
							var up []*target
							sum := 0.0
							for i, x := range ts {
								if x.weight = test.weight(second, i); test.up(second, i, rng) {
									up = append(up, x)
									sum += x.weight
								}
							}
							if len(up) == 0 {
								continue
							}
							x, ticket := place(t, b, sized(4000), up)
							b.Settle(x.name, ticket, served(4000+rng.IntN(6000), 0, 200))
							given[x]++
							for _, x := range up {
								fair[x] += x.weight / sum
							}
						}
						pass(time.Second)
						if second%20 == 19 {
							for _, x := range ts {
								assert.InDelta(t, fair[x], given[x], 15, "%s of 200 in the 20 seconds until %d", x.name, second)
							}
							clear(given)
							clear(fair)
						}
					}
				})
			})
		}
	}
}

// A target has the load that it had with its former weight, whether it was away or not.
func TestLoadsWhileWeightsChange(t *testing.T) {
	for name, test := range map[string]struct {
		had     int       // tokens, while the other target had 1,000,000, both at the first weight
		weights []float64 // one after the other
		away    bool      // in between
		want    float64   // how much less the load is than that of the other, in the end
	}{
		"smaller when it is back":  {1_000_000, []float64{1, 0.25}, true, 0},
		"larger when it is back":   {250_000, []float64{0.25, 1}, true, 0},
		"larger":                   {250_000, []float64{0.25, 0.5, 0.6, 1}, false, 0},
		"smaller and back":         {700_000, []float64{1, 0.5, 1}, false, 200_000},
		"up and down all the time": {300_000, slices.Repeat([]float64{1, 0.5, 0.7, 1}, 20), false, 0},
		"of a tiny one":            {1_000_000, []float64{1e-300, 1}, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
				b, ts := create(balance.CostConfig[*target]{Weight: weightOf}), targets(2)
				ts[0].weight = test.weights[0]
				note(t, b, ts)
				spend(b, ts[0].name, test.had)
				spend(b, ts[1].name, 1_000_000)
				for _, weight := range test.weights {
					if test.away {
						pass(time.Minute)
						note(t, b, ts[1:])
					}
					ts[0].weight = weight
					note(t, b, ts)
				}
				l := loads(t, b, ts)
				assert.InDelta(t, test.want, l[1]-l[0], 30_000)
			})
		})
	}
}
