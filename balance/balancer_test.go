package balance_test

import (
	"cmp"
	"math"
	"math/rand/v2"
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

// eachBalancer runs a test of one goroutine for all of them, in bubbles of their own.
func eachBalancer(t *testing.T, f func(t *testing.T, create func(cfg balance.CostConfig[*target]) affinity.Balancer[*target])) {
	long(t)
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
				for range 100 { // decay adds up
					pass(cmp.Or(halfLife, time.Hour) / 100)
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

func TestBalancersDoNotAllocate(t *testing.T) {
	long(t)
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

// Whatever the weights were, no target is out of the race for long when they have changed.
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
