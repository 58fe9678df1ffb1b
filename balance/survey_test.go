package balance

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// TestSurveyLeavesNothingOut holds survey to what going through all boundaries for each candidate
// gives: where targets hold more and less of a prompt, since shorter and longer times, and
// with how many others.
func TestSurveyLeavesNothingOut(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		b := Prefix(PrefixConfig[int]{CostConfig: CostConfig[int]{ID: strconv.Itoa}}).(*prefix[int])
		cuts := make([]extract.Boundary, 1+random.IntN(12))
		for i := range cuts {
			cuts[i] = extract.Boundary{Hash: random.Uint64(), Bytes: 4096 * (i + 1)}
		}
		now := int64(1)
		targets := 1 + random.IntN(200)
		for range 1 + random.IntN(2*targets) {
			now += int64(time.Duration(random.IntN(60)) * time.Second * time.Duration(random.IntN(2)))
			id := strconv.Itoa(random.IntN(targets))
			sent := cuts[:1+random.IntN(len(cuts))]
			tick := b.index.tick(now)
			last := b.index.enter(sent, hashOf(id), tick, func(extract.Boundary, int64) {})
			b.index.end(last, hashOf(id), tick, random.IntN(3) > 0)
		}
		candidates := make([]int, 1+random.IntN(targets))
		for i := range candidates {
			candidates[i] = i * targets / len(candidates)
		}
		r := b.roster(candidates)
		b.survey(&prompt{cuts: cuts}, r, now)
		for i := range r.candidates {
			c := &r.candidates[i]
			var want part
			for _, cut := range cuts {
				e := b.index.find(cut.Hash, c.account.target)
				if e == 0 || b.index.record(e).at == 0 {
					continue
				}
				switch kind := pauseKind(now - b.index.record(e).at); kind {
				case 0:
					want = part{sure: cut.Bytes, likely: cut.Bytes}
				case pauseKinds:
				default:
					want.likely, want.kind = cut.Bytes, kind
				}
			}
			require.Equal(t, want, c.held)
		}
	}
}

// TestSurveyBehindManyHolders is about a target of which a boundary tells something, and one before that,
// which too many others hold to go through them all, tells more.
func TestSurveyBehindManyHolders(t *testing.T) {
	b := Prefix(PrefixConfig[int]{CostConfig: CostConfig[int]{ID: strconv.Itoa}}).(*prefix[int])
	cuts := []extract.Boundary{{Hash: 1, Bytes: 4096}, {Hash: 2, Bytes: 8192}}
	send := func(id int, cuts []extract.Boundary, now time.Duration) {
		b.index.enter(cuts, hashOf(strconv.Itoa(id)), b.index.tick(int64(now)), func(extract.Boundary, int64) {})
	}
	send(0, cuts, time.Second)
	for id := range 100 {
		send(id, cuts[:1], 10*time.Minute)
	}
	r := b.roster([]int{0})
	b.survey(&prompt{cuts: cuts}, r, int64(11*time.Minute))
	require.Equal(t, part{sure: 4096, likely: 8192, kind: 1}, r.candidates[0].held)
}

func TestIncludeInAnyOrder(t *testing.T) {
	const now, kind1, kind2 = int64(time.Minute), int64(10 * time.Minute), int64(30 * time.Minute)
	for _, tt := range []struct {
		bytes [2]int
		ago   [2]int64
		want  part
	}{
		{[2]int{4096, 8192}, [2]int64{now, now}, part{sure: 8192, likely: 8192}},
		{[2]int{4096, 8192}, [2]int64{now, kind1}, part{sure: 4096, likely: 8192, kind: 1}},
		{[2]int{4096, 8192}, [2]int64{kind1, now}, part{sure: 8192, likely: 8192}},
		{[2]int{4096, 8192}, [2]int64{kind1, kind2}, part{likely: 8192, kind: 2}},
		{[2]int{4096, 4096}, [2]int64{kind1, kind2}, part{likely: 4096, kind: 1}},
		{[2]int{4096, 4096}, [2]int64{now, kind1}, part{sure: 4096, likely: 4096}},
		{[2]int{4096, 8192}, [2]int64{now, int64(2 * time.Hour)}, part{sure: 4096, likely: 4096}},
	} {
		for first := range 2 {
			var h part
			for _, i := range []int{first, 1 - first} {
				h.include(extract.Boundary{Bytes: tt.bytes[i]}, tt.ago[i])
			}
			require.Equal(t, tt.want, h)
		}
	}
}
