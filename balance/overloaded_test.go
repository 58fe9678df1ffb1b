package balance_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
)

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

// Whoever is new counts as any other in what is fair.
func TestOverloadedBesideOneThatIsNew(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{MaxShare: 1.3}), targets(4)
		spend(b, "t0", 1_000_000)
		spend(b, "t1", 1_000_000)
		spend(b, "t2", 500_000)
		place(t, b, nil, ts[:3])
		assert.False(t, b.Overloaded("t0"), "1,000,000 of a mean of 833,000")
		place(t, b, nil, ts)
		assert.True(t, b.Overloaded("t0"), "of 750,000, since t3 is given what the least loaded has")
	})
}

// Whoever has no weight has no share, and its work is nobody else's.
func TestOverloadedBesideOneWithoutAWeight(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{MaxShare: 1.25, Weight: weightOf}), targets(3)
		ts[2].weight = 0
		spend(b, "t0", 1_000_000)
		spend(b, "t1", 500_000)
		spend(b, "t2", 3_000_000)
		place(t, b, nil, ts)
		assert.True(t, b.Overloaded("t0"), "1,000,000 of a mean of 750,000")
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
			if share < 1 {
				assert.True(t, b.Overloaded("t0"), "as all are")
			}
		})
	}
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

// What is fair is the load of the pool when the target was a candidate last, if that was more than it is
// now: that others have less than they were charged with does not make it too much.
func TestOverloadedAfterOthersHaveLess(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		b, ts := create(balance.CostConfig[*target]{MaxShare: 1.5}), targets(2)
		spend(b, "t0", 100_000)
		ticket := b.Charge(prompt(1, 0, 400_000), "t1", false)
		place(t, b, nil, ts)
		b.Cancel("t1", ticket)
		assert.False(t, b.Overloaded("t0"))
		place(t, b, nil, ts)
		assert.True(t, b.Overloaded("t0"))
	})
}

// What is fair goes by weight, and so does what is more than that.
func TestOverloadedByWeight(t *testing.T) {
	eachBalancer(t, func(t *testing.T, create func(balance.CostConfig[*target]) affinity.Balancer[*target]) {
		for _, unit := range []float64{1, 1.0 / 16} {
			b, ts := create(balance.CostConfig[*target]{Weight: weightOf, MaxShare: 1.5}), targets(2)
			ts[0].weight, ts[1].weight = 9*unit, 1*unit
			place(t, b, nil, ts)
			spend(b, ts[0].name, 800_000)
			spend(b, ts[1].name, 200_000) // twice its share
			for range 2 {
				assert.True(t, b.Overloaded(ts[1].name))
				assert.False(t, b.Overloaded(ts[0].name))
				place(t, b, nil, ts)
			}
		}
	})
}
