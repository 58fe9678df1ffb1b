package balance_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
)

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
