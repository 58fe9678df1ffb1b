package balance

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

func TestDecay(t *testing.T) {
	l := newLedger(time.Hour, nil)
	for ns := int64(1); ns < int64(100*time.Hour); ns += ns/5 + 1 {
		require.InDelta(t, math.Exp2(-float64(ns)/float64(time.Hour)), l.decay(ns), 1e-6)
	}
	require.Equal(t, 1.0, l.decay(0))
	require.Equal(t, 1.0, l.decay(-1))
	require.Equal(t, 1.0, l.decay(-int64(time.Hour)))
}

// A target that is no candidate is not found in the place of one, however alike their hashes are.
func TestFindOnARoster(t *testing.T) {
	var r roster
	for target := range uint64(5) {
		r.candidates = append(r.candidates, candidate{account: &account{target: 2 * target}})
	}
	r.indexTargets()
	for i := range r.candidates {
		require.Same(t, &r.candidates[i], r.find(uint64(2*i)))
		require.Nil(t, r.find(uint64(2*i)+1<<32))
	}
}

func TestLoadIsNeverNegative(t *testing.T) {
	l := newLedger(0, nil)
	l.add(l.account("x"), 100, 0, 1)
	l.amend("x", -1e6, -1e6, 1) // of a ticket that is not ours
	require.Zero(t, l.known("x").work)
	require.Zero(t, l.known("x").expected)
	require.Zero(t, l.known("y"))
}

// What Cancel takes back of what is expected is what was added, as far as that is left,
// and not what would be added now.
func TestCancelTakesBackWhatWasAdded(t *testing.T) {
	own := func(s string) string { return s }
	leastCost := func() (affinity.Balancer[string], *ledger) {
		b := LeastCost(CostConfig[string]{ID: own}).(*leastCost[string])
		return b, b.ledger
	}
	withPrefix := func() (affinity.Balancer[string], *ledger) {
		b := Prefix(PrefixConfig[string]{CostConfig: CostConfig[string]{ID: own}, Boundaries: func(*extract.Request) []extract.Boundary {
			return []extract.Boundary{{Hash: 1, Bytes: 4096}}
		}}).(*prefix[string])
		return b, b.ledger
	}
	tests := []struct {
		name       string
		before     float64 // what is expected of the target already
		placed     bool
		first      bool // it is the first placement of all
		followUp   float64
		laterMean  float64
		after      time.Duration
		wantBefore float64 // what is left of before
	}{
		{name: "sessions cost more by then", before: 1e6, placed: true, followUp: 1e5, laterMean: 9e5, wantBefore: 1e6},
		{name: "sessions cost less by then", before: 1e6, placed: true, followUp: 9e5, laterMean: 1e3, wantBefore: 1e6},
		{name: "an eighth is left", before: 1e6, placed: true, followUp: 1e6, laterMean: 1e6, after: 3 * defaultHalfLife / expectedDecay, wantBefore: 1e6 / 8},
		{name: "nothing was added by the first placement", before: 1e6, placed: true, first: true, followUp: 1e5, laterMean: 1e5, wantBefore: 1e6},
		{name: "a request that was expected", before: 1e6, followUp: 1e5, laterMean: 1e5, wantBefore: 1e6},
		{name: "a request of which a part was expected", before: 100, followUp: 1e5, laterMean: 1e5, wantBefore: 100},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, create := range []func() (affinity.Balancer[string], *ledger){leastCost, withPrefix} {
				synctest.Test(t, func(t *testing.T) {
					b, l := create()
					<-time.After(time.Second)
					a := l.account("x")
					l.add(a, 0, test.before, l.now())
					l.followUp.set(test.followUp)
					l.sincePlacing.add(test.followUp) // so that the mean stays
					if !test.first {
						l.lastPlacement = l.now() - 1
					}
					req := &extract.Request{Body: make([]byte, 4096)}
					var ticket affinity.Ticket
					if test.placed {
						var err error
						_, ticket, err = b.Place(t.Context(), req, []string{"x"})
						require.NoError(t, err)
					} else {
						ticket = b.Charge(req, "x", true)
					}
					l.followUp.set(test.laterMean)
					<-time.After(test.after)
					l.add(a, 0, 0, l.now())
					b.Cancel("x", ticket)
					assert.InEpsilon(t, test.wantBefore, a.expected, 0.02)
					assert.InDelta(t, 0, a.work, 1e-6)
				})
			}
		})
	}
}

// Of follow-ups while nobody was placed, those count that came in while an expectation lives: for
// an eighth of a half-life, divided by the logarithm of 2.
func TestFollowUpsAfterALongQuiet(t *testing.T) {
	l := newLedger(time.Hour, nil)
	const lives = 649 * time.Second
	now := int64(1)
	l.placement(now)
	for _, test := range []struct {
		quiet time.Duration
		want  float64
	}{{lives / 2, 1000}, {4 * lives, 250}} {
		l.followUp.set(0)
		l.sincePlacing.add(1000)
		now += int64(test.quiet)
		require.InEpsilon(t, test.want/meanLength, l.placement(now), 0.01)
	}
}

// A load that is kept is no more than the most of those whose weights have not risen, whichever
// of them has it.
func TestLoadsThatAreKeptAreBounded(t *testing.T) {
	r := roster{candidates: []candidate{
		{weight: 1, rise: 1, load: 300, counted: 300, candidateAt: 1},
		{weight: 1, rise: 1, load: 100, counted: 100, candidateAt: 1},
		{weight: 1, rise: 10, load: 1000, counted: 100, candidateAt: 1},
	}}
	r.keepLoads()
	require.Equal(t, 300.0, r.candidates[2].load)
}

// A part is packed beside what was expected.
func TestPackedParts(t *testing.T) {
	for _, want := range []part{
		{},
		{sure: 1 << 20, likely: 1 << 20},
		{sure: 128 * 1000, likely: 128 * 5000, kind: 2},
		{likely: mostBytes + 1 - partUnit, kind: 1},
		{sure: mostBytes + 1 - partUnit, likely: mostBytes + 1 - partUnit},
	} {
		for _, expected := range []float64{0, 123, 128.9, -4e7, 1e15} {
			word := want.pack() | expectedMemo(expected)
			require.Equal(t, want, unpack(word))
			require.InDelta(t, expected, expectedOf(affinity.Ticket{Memo: [2]uint64{0, word}}), math.Abs(expected)/200)
		}
	}
	most := mostBytes + 1 - partUnit
	require.Equal(t, part{sure: partUnit, likely: most}, unpack(part{sure: partUnit + 77, likely: math.MaxInt}.pack()))
	require.Equal(t, part{sure: most, likely: most}, unpack(part{sure: math.MaxInt, likely: math.MaxInt}.pack()))
	require.Less(t, unpack(math.MaxUint64).kind, pauseKinds, "whatever the word is")
	for _, warm := range []bool{false, true} {
		m := newMemo(math.MaxInt, warm)
		require.Equal(t, mostBytes, m.bytes())
		require.Equal(t, warm, m.warm())
		require.Less(t, m, memo(1<<32), "above it is the number of an entry")
	}
}

// A target that is new says nothing about by how much others are ahead whose weights rise. These
// have no more than the most of those whose weights have not risen, or what their work comes to.
func TestKeptLoads(t *testing.T) {
	load := func(most float64, more ...candidate) float64 {
		r := roster{candidates: append([]candidate{
			{weight: 1, rise: 1, load: most, counted: most, candidateAt: 1},
			{weight: 2, rise: 2, load: 14, counted: 7, candidateAt: 1},
		}, more...)}
		r.keepLoads()
		return r.candidates[1].load
	}
	require.Equal(t, 15.5, load(20))
	require.Equal(t, 15.5, load(20, candidate{weight: 1, rise: 1}))
	require.Equal(t, 10.0, load(10))
	require.Equal(t, 7.0, load(5))
}
