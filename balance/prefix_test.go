package balance_test

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

// bubble runs a test of one goroutine in virtual time with a Prefix.
func bubble(t *testing.T, f func(t *testing.T, b affinity.Balancer[*target])) {
	long(t)
	synctest.Test(t, func(t *testing.T) { f(t, newPrefix(balance.CostConfig[*target]{})) })
}

// prompt is a request whose prompt ends at so many bytes, in the given
// conversation after what it has in common with others.
func prompt(conversation, common, bytes int) *extract.Request {
	req := turn(conversation, common/4096, bytes/4096)
	if bytes%4096 != 0 {
		cuts := append(turnCuts(req), extract.Boundary{Hash: uint64(conversation)<<40 + uint64(bytes), Bytes: bytes})
		turns.Store(req, cuts)
	}
	return req
}

// ask places a request and has it served by a target that reads everything anew
// but what it has.
func ask(t testing.TB, b affinity.Balancer[*target], req *extract.Request, ts []*target, cached int) *target {
	t.Helper()
	got, ticket := place(t, b, req, ts)
	cuts := turnCuts(req)
	b.Settle(got.name, ticket, served(cuts[len(cuts)-1].Bytes/4-cached, cached, 400))
	return got
}

func TestPromptGoesWhereItsBeginningIs(t *testing.T) {
	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		pass(24 * time.Hour)
		ts := targets(8)
		homes := map[int]*target{}
		for turn := range 10 {
			for conversation := range 20 {
				pass(time.Second)
				size := 80_000 + 8000*turn
				got := ask(t, b, prompt(conversation, 0, size), ts, 2000*(turn*10))
				if turn == 0 {
					homes[conversation] = got
				}
				require.Same(t, homes[conversation], got, "conversation %d, turn %d", conversation, turn)
			}
		}
		counts := map[*target]int{}
		for _, home := range homes {
			counts[home]++
		}
		require.Len(t, counts, 8)
		for _, n := range counts {
			require.InDelta(t, 2.5, n, 1, "the first turns were spread")
		}

		// A branch that leaves after 40 kB goes where those are.
		require.Same(t, homes[3], pick[*target](t, b, func() *extract.Request {
			req := prompt(3, 0, 120_000)
			cuts := append([]extract.Boundary{}, turnCuts(req)...)
			for i := 10; i < len(cuts); i++ {
				cuts[i].Hash = ^cuts[i].Hash
			}
			turns.Store(req, cuts)
			return req
		}(), ts))
	})
}

func TestWayHomeAfterAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		ts := targets(4)
		home := ask(t, b, prompt(1, 0, 400_000), ts, 0)
		var others []*target
		for _, x := range ts {
			if x != home {
				others = append(others, x)
			}
		}
		pass(time.Minute)
		detour := ask(t, b, prompt(1, 0, 404_000), others, 0)
		pass(time.Minute)
		require.Same(t, detour, ask(t, b, prompt(1, 0, 408_000), others, 101_000), "one detour, not two")
		for _, x := range others {
			if x != detour {
				require.Same(t, home, ask(t, b, prompt(1, 0, 412_000), []*target{x, home}, 100_000))
			}
		}
	})
}

// A prompt is found where it is, also among very many targets that held it and have gone.
func TestPromptAmongTargetsThatHaveGone(t *testing.T) {
	for range 10 { // chance would find it every other time
		bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
			ts := targets(202)
			home := ask(t, b, prompt(1, 0, 400_000), ts[:1], 0)
			for i := range ts[2:] {
				pass(time.Millisecond)
				ask(t, b, prompt(1, 0, 400_000), ts[i+2:i+3], 0)
			}
			require.Same(t, home, ask(t, b, prompt(1, 0, 404_000), ts[:2], 100_000))
		})
	}
}

// A system prompt that is most of every prompt must not draw all conversations
// to the target that has it first.
func TestCommonBeginningDoesNotHerd(t *testing.T) {
	for _, n := range []int{2, 4, 16} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
				ts := targets(n)
				rng := rand.New(rand.NewPCG(1, 1))
				cost := map[string]float64{}
				// Ten conversations to a target, a turn of each every 20 s.
				for turn := range 60 {
					for i := range 10 * n {
						pass(20 * time.Second / time.Duration(10*n))
						size := 6144 + 300*(turn%12)
						conversation := 1000*(turn/12) + i
						got := ask(t, b, prompt(conversation, 4096, size), ts, (size-300)/4)
						cost[got.name] += float64(200+rng.IntN(2)) + fee
					}
				}
				for _, c := range shares(cost, n) {
					require.InDelta(t, 1, c, 0.2, "%v", cost)
				}
			})
		})
	}
}

func TestFailedPromptIsNotBelieved(t *testing.T) {
	outcome := func(r affinity.Result) affinity.Outcome { return affinity.Outcome{Result: r} }
	req, more := prompt(1, 0, 200_000), prompt(1, 0, 204_000)
	tests := []struct {
		name string
		do   func(b affinity.Balancer[*target])
		held bool
	}{
		{"under way", func(b affinity.Balancer[*target]) { b.Charge(req, "t0", false) }, true},
		{"served", func(b affinity.Balancer[*target]) {
			b.Settle("t0", b.Charge(req, "t0", false), served(50_000, 0, 1))
		}, true},
		{"neutral", func(b affinity.Balancer[*target]) {
			b.Settle("t0", b.Charge(req, "t0", false), outcome(affinity.Neutral))
		}, true},
		{"failed", func(b affinity.Balancer[*target]) {
			b.Settle("t0", b.Charge(req, "t0", false), outcome(affinity.TransientFailure))
		}, false},
		{"failed for good", func(b affinity.Balancer[*target]) {
			b.Settle("t0", b.Charge(req, "t0", false), outcome(affinity.TerminalFailure))
		}, false},
		{"not sent", func(b affinity.Balancer[*target]) {
			b.Cancel("t0", b.Charge(req, "t0", false))
		}, false},
		{"served before", func(b affinity.Balancer[*target]) {
			b.Settle("t0", b.Charge(req, "t0", false), served(50_000, 0, 1))
			b.Settle("t0", b.Charge(req, "t0", false), outcome(affinity.TransientFailure))
		}, true},
		{"served meanwhile", func(b affinity.Balancer[*target]) {
			first := b.Charge(req, "t0", false)
			b.Settle("t0", b.Charge(req, "t0", false), served(50_000, 0, 1))
			b.Settle("t0", first, outcome(affinity.TransientFailure))
		}, true},
		{"two failed", func(b affinity.Balancer[*target]) {
			first, second := b.Charge(req, "t0", false), b.Charge(more, "t0", true)
			b.Settle("t0", first, outcome(affinity.TransientFailure))
			b.Settle("t0", second, outcome(affinity.TransientFailure))
		}, false},
		{"two failed, the later one first", func(b affinity.Balancer[*target]) {
			first, second := b.Charge(req, "t0", false), b.Charge(more, "t0", true)
			b.Settle("t0", second, outcome(affinity.TransientFailure))
			b.Settle("t0", first, outcome(affinity.TransientFailure))
		}, false},
		{"two failed, served before", func(b affinity.Balancer[*target]) {
			b.Settle("t0", b.Charge(req, "t0", false), served(50_000, 0, 1))
			pass(time.Second)
			first, second := b.Charge(req, "t0", true), b.Charge(more, "t0", true)
			b.Settle("t0", first, outcome(affinity.TransientFailure))
			b.Settle("t0", second, outcome(affinity.TransientFailure))
		}, true},
		{"two failed, the later one first, served before", func(b affinity.Balancer[*target]) {
			b.Settle("t0", b.Charge(req, "t0", false), served(50_000, 0, 1))
			pass(time.Second)
			first, second := b.Charge(req, "t0", true), b.Charge(more, "t0", true)
			b.Settle("t0", second, outcome(affinity.TransientFailure))
			b.Settle("t0", first, outcome(affinity.TransientFailure))
		}, true},
		{"a failure of somebody else", func(b affinity.Balancer[*target]) {
			b.Charge(req, "t0", false)
			ticket := b.Charge(prompt(2, 0, 200_000), "t0", false)
			b.Settle("t0", ticket, outcome(affinity.TransientFailure))
		}, true},
		{"a failure elsewhere", func(b affinity.Balancer[*target]) {
			ticket := b.Charge(req, "t0", false)
			b.Settle("t1", ticket, outcome(affinity.TransientFailure))
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
				ts := targets(2)
				test.do(b)
				pass(5 * time.Second) // by then, all was read
				// t1 has less to do, by more than a prompt of a few tokens
				// matters and less than the whole matters.
				_, ticket := place(t, b, more, ts)
				assert.Equal(t, test.held, ticket.Cost < 20_000, "expected to cost %v", ticket.Cost)
			})
		})
	}
}

// A target that is still reading a prompt does not have it in its cache, unless it had it before:
// of a burst that begins alike, not all goes where the first one has gone.
func TestPromptThatIsBeingRead(t *testing.T) {
	req := prompt(1, 0, 200_000)
	ok, failed := served(50_000, 0, 1), affinity.Outcome{Result: affinity.TransientFailure}
	for name, test := range map[string]struct {
		before affinity.Outcome // of the request before, if there was one
		pause  time.Duration    // since then
		after  time.Duration    // how long the target has had to read it
		held   bool
	}{
		"just sent":           {},
		"not yet read":        {after: time.Second, held: false},
		"read":                {after: 4100 * time.Millisecond, held: true},
		"read before":         {ok, time.Second, 0, true},
		"read long before":    {ok, 4 * time.Minute, time.Millisecond, true},
		"forgotten":           {ok, time.Hour, time.Second, false},
		"forgotten, and read": {ok, time.Hour, 4100 * time.Millisecond, true},
		"failed before":       {failed, time.Minute, time.Second, false},
		"failed before, read": {failed, time.Minute, 4100 * time.Millisecond, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
				if test.pause > 0 {
					b.Settle("t0", b.Charge(req, "t0", false), test.before)
					pass(test.pause)
				}
				b.Charge(req, "t0", false)
				pass(test.after)
				spend(b, "t1", 30_000) // less than t0 has, but more than a part of the prompt is worth
				require.Equal(t, test.held, pick[*target](t, b, prompt(1, 0, 204_000), targets(2)).name == "t0")
			})
		})
	}
}

// A prompt under way is believed to be there, also while another one that begins
// like it has failed, and after its client has left.
func TestFailureOfAPromptThatBeginsAlike(t *testing.T) {
	for _, left := range []bool{false, true} {
		bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
			ts := targets(2)
			first := b.Charge(prompt(1, 40_960, 200_000), "t0", false)
			second := b.Charge(prompt(2, 40_960, 200_000), "t0", false)
			b.Settle("t0", second, affinity.Outcome{Result: affinity.TransientFailure})
			if left {
				b.Settle("t0", first, affinity.Outcome{})
			}
			pass(5 * time.Second)
			spend(b, "t1", 90_000) // as much as t0 has
			require.Same(t, ts[0], pick[*target](t, b, prompt(1, 40_960, 204_000), ts))
		})
	}
}

func TestShortPromptsAreNotCached(t *testing.T) {
	for _, test := range []struct {
		min, bytes int
		cached     bool
	}{
		{0, 3600, false}, {0, 3700, true}, {-1, 100, true}, {-1, 3600, true}, {4096, 12_000, false}, {4096, 16_400, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := balance.Prefix(balance.PrefixConfig[*target]{
				CostConfig: balance.CostConfig[*target]{ID: nameOf}, MinTokens: test.min, Boundaries: turnCuts,
			})
			req := prompt(1, 0, test.bytes)
			first := b.Charge(req, "t0", false).Cost
			second := b.Charge(req, "t0", true).Cost
			assert.Equal(t, test.cached, second < first, "%+v: %v, %v", test, first, second)
		})
	}
}

func TestDefaultCapacity(t *testing.T) {
	for _, capacity := range []int{0, -1} {
		b := balance.Prefix(balance.PrefixConfig[*target]{
			CostConfig: balance.CostConfig[*target]{ID: nameOf}, Capacity: capacity, Boundaries: turnCuts,
		})
		first := b.Charge(prompt(0, 0, 400_000), "t0", false).Cost
		for i := range 100 { // of 98 entries each
			b.Charge(prompt(1+i, 0, 400_000), "t0", false)
		}
		assert.Less(t, b.Charge(prompt(0, 0, 400_000), "t0", false).Cost, first/5)
	}
}

func TestCapacityIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := balance.Prefix(balance.PrefixConfig[*target]{
			CostConfig: balance.CostConfig[*target]{ID: nameOf}, Capacity: 4000, Boundaries: turnCuts,
		})
		first := b.Charge(prompt(0, 0, 400_000), "t0", false).Cost
		for i := range 39 { // of 98 entries each
			b.Charge(prompt(i, 0, 400_000), "t0", false)
		}
		assert.Less(t, b.Charge(prompt(0, 0, 400_000), "t0", false).Cost, first/5, "all are there")
		for i := range 20 {
			b.Charge(prompt(100+i, 0, 400_000), "t0", false)
		}
		assert.Less(t, b.Charge(prompt(0, 0, 400_000), "t0", false).Cost, first/5, "it was used not long ago")
		assert.Equal(t, first, b.Charge(prompt(1, 0, 400_000), "t0", false).Cost, "it was not")
		for i := range 1000 {
			b.Charge(prompt(1000+i, 0, 400_000), "t"+strconv.Itoa(i%7), false)
		}
		assert.Equal(t, first, b.Charge(prompt(0, 0, 400_000), "t0", false).Cost)
	})
}

// A prompt of more boundaries than there is room for is held as far as it goes.
func TestLongPrompt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := balance.Prefix(balance.PrefixConfig[*target]{
			CostConfig: balance.CostConfig[*target]{ID: nameOf}, Capacity: 1, Boundaries: turnCuts,
		})
		req := prompt(0, 0, 4096*5000)
		first := b.Charge(req, "t0", false)
		assert.InDelta(t, 0.82, b.Charge(req, "t0", false).Cost/first.Cost, 0.02, "a fifth is there")
		b.Settle("t0", first, affinity.Outcome{Result: affinity.TransientFailure})
	})
}

func TestRequestsWithoutBoundaries(t *testing.T) {
	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		ts := targets(3)
		spend(b, "t0", 100_000)
		spend(b, "t2", 50_000)
		for _, req := range []*extract.Request{nil, {}, {Body: []byte("no JSON")}} {
			require.Same(t, ts[1], pick[*target](t, b, req, ts), "the least cost")
			spend(b, "t1", 1)
		}
		_, placed := place(t, b, sized(400_000), ts)
		assert.InDelta(t, 90_000+1000+2000, placed.Cost, 1000, "it goes by the length of the body")
		assert.InDelta(t, 10_000+9000+2000, b.Charge(sized(400_000), "t0", true).Cost, 1000)
	})
	// What they are likely to cost counts by weight, as it does with LeastCost.
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{Weight: func(x *target) float64 { return map[string]float64{"t0": 1, "t1": 10}[x.name] }}), targets(2)
		spend(b, "t1", 100_000)
		require.Same(t, ts[1], pick[*target](t, b, sized(400_000), ts))
	})
	// Those of the request are the default.
	b := balance.Prefix(balance.PrefixConfig[*target]{CostConfig: balance.CostConfig[*target]{ID: nameOf}})
	body := []byte(`{"messages":[{"role":"user","content":"` + longText(40_000) + `"}]}`)
	first := b.Charge(&extract.Request{Body: body}, "t0", false).Cost
	assert.Less(t, b.Charge(&extract.Request{Body: body}, "t0", false).Cost, first/2)
}

func longText(n int) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = 'a' + byte(i%26)
	}
	return string(text)
}

// A target with more than its share takes no prompt, even one that it holds.
func TestBound(t *testing.T) {
	for _, share := range []float64{0, 1.25} {
		synctest.Test(t, func(t *testing.T) {
			b, ts := newPrefix(balance.CostConfig[*target]{MaxShare: share}), targets(4)
			req := prompt(1, 0, 4_000_000)
			b.Settle("t0", b.Charge(req, "t0", false), served(1_000_000, 0, 1))
			for _, x := range ts[1:] {
				spend(b, x.name, 500_000)
			}
			if share == 0 {
				require.Same(t, ts[0], pick[*target](t, b, req, ts))
			} else {
				require.NotSame(t, ts[0], pick[*target](t, b, req, ts))
				require.Same(t, ts[0], pick[*target](t, b, req, ts[:1]), "somebody can always take it")
			}
		})
	}
}

// What a session saves once does not outweigh the work where it would stay, if sessions cost
// much later; whatever the unit of costs is.
func TestLaterCost(t *testing.T) {
	for _, unit := range []float64{1, 1.0 / (1 << 20)} {
		for home, later := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				b, ts := newPrefix(balance.CostConfig[*target]{Cost: func(u affinity.Usage) float64 { return unit * u.Cost() }}), targets(2)
				if later {
					bring(t, b, ts, 100, served(100, 0, 20_000))
					pass(15 * time.Hour)
				}
				req := prompt(1, 0, 400_000)
				b.Settle("t0", b.Charge(req, "t0", false), served(100_000, 0, 1))
				spend(b, "t0", 700_000)
				spend(b, "t1", 200_000)
				require.Same(t, ts[home], pick[*target](t, b, req, ts), "%v", unit)
			})
		}
	}
}

// A prompt of one boundary is found like any other.
func TestPromptOfOneBoundary(t *testing.T) {
	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		ts := targets(4)
		req := prompt(1, 0, 4096)
		require.Len(t, turnCuts(req), 1)
		turns.Store(req, []extract.Boundary{{Hash: 1, Bytes: 400_000}})
		b.Settle("t2", b.Charge(req, "t2", true), served(100_000, 0, 1))
		for _, x := range ts {
			spend(b, x.name, 1_000_000)
		}
		require.Same(t, ts[2], pick[*target](t, b, req, ts))
	})
}

// Up to the bound, what it holds counts.
func TestWithinTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, ts := newPrefix(balance.CostConfig[*target]{MaxShare: 1.25}), targets(4)
		req := prompt(1, 0, 4_000_000)
		b.Settle("t0", b.Charge(req, "t0", false), served(1_000_000, 0, 1))
		for _, x := range ts[1:] {
			spend(b, x.name, 900_000)
		}
		require.Same(t, ts[0], pick[*target](t, b, req, ts))
	})
}

// Hits of sessions count as well: a Selector does not ask where to send them.
func TestHitsAreEntered(t *testing.T) {
	bubble(t, func(t *testing.T, b affinity.Balancer[*target]) {
		ts := targets(4)
		b.Settle("t2", b.Charge(prompt(7, 0, 200_000), "t2", true), served(50_000, 0, 1))
		spend(b, "t1", 1)
		require.Same(t, ts[2], pick[*target](t, b, prompt(7, 0, 210_000), ts))
	})
}

func TestSelectorWithBalancers(t *testing.T) {
	long(t)
	for _, policy := range balancers {
		t.Run(policy.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sel, err := affinity.New(affinity.Config[*target]{ID: nameOf, Fallback: policy.new(balance.CostConfig[*target]{})})
				require.NoError(t, err)
				ts := targets(4)
				cost := map[string]float64{}
				rng := rand.New(rand.NewPCG(1, 1))
				weight := make([]int, 200)
				for i := range weight {
					weight[i] = 1000 << rng.IntN(7)
				}
				for range 20 {
					for i, w := range weight {
						pass(100 * time.Millisecond)
						s, err := sel.Select(t.Context(), &extract.Request{
							Header: map[string][]string{"X-Session-Id": {"session-" + strconv.Itoa(i)}}, Body: make([]byte, 4*w),
						}, ts)
						require.NoError(t, err)
						o := served(w, 0, 100)
						cost[s.ID] += o.Usage.Cost()
						s.Done(o)
					}
				}
				for _, c := range shares(cost, 4) {
					require.InDelta(t, 1, c, 0.1, "%v", cost)
				}
			})
		})
	}
}
