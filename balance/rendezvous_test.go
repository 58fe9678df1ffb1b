package balance_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

func itself(id string) string { return id }

// byScope is the picker of these tests: targets are their IDs, the key is the
// Scope.
func byScope() affinity.Picker[string] { return balance.Rendezvous(itself, scopeOf) }

// placeAll returns the choice for each of the requests.
func placeAll(t testing.TB, p affinity.Picker[string], reqs []*extract.Request, ids []string) []string {
	t.Helper()
	places := make([]string, len(reqs))
	for i, req := range reqs {
		places[i] = pick(t, p, req, ids)
	}
	return places
}

func idsOf(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("target-%d", i)
	}
	return ids
}

// The vectors come from an implementation of the documented score in another
// language. If this test fails, an update would move the sessions of everybody
// who runs two versions side by side.
func TestRendezvousPlacementNeverChanges(t *testing.T) {
	t.Parallel()
	const long = "a target with an ID of more than thirty-two bytes"
	tests := []struct{ key, want string }{
		{"a", "alpha"},
		{"ab", long},
		{"session-1", long},
		{"session-2", long},
		{"9f4c1a52-0c1e-4b57-a6de-6f2c7f3b1c11", long},
		{"zażółć", "delta"},
		{"\x00", "beta"},
		{"tenant/model\x00" + string(slices.Repeat([]byte("k"), 100)), "gamma"},
	}
	p := byScope()
	for _, test := range tests {
		got := pick(t, p, &extract.Request{Scope: test.key}, []string{"alpha", "beta", "gamma", "delta", long})
		require.Equal(t, test.want, got, "key %q", test.key)
	}

	// A thousand keys over sixteen targets, as a letter for each choice.
	ids := idsOf(16)
	var letters []byte
	for _, place := range placeAll(t, p, requests(1000), ids) {
		letters = append(letters, 'a'+byte(slices.Index(ids, place)))
	}
	require.Equal(t, "lkhnphjhaggbdnleibbaepomoiecpafmmmidblbfgngfkbelkplmjdleikllniha", string(letters[:64]))
	require.EqualValues(t, uint64(0xae3477df4f95ec84), xxhash.Sum64(letters))
}

func TestRendezvousSpreadsKeysEvenly(t *testing.T) {
	long(t)
	t.Parallel()
	for _, n := range []int{2, 3, 7, 16, 64} {
		ids := idsOf(n)
		counts := make([]float64, n)
		for _, place := range placeAll(t, byScope(), requests(1000*n), ids) {
			counts[slices.Index(ids, place)]++
		}
		requireShares(t, equal(n), counts)
	}
}

func TestRendezvousIgnoresTheOrderOfCandidates(t *testing.T) {
	t.Parallel()
	// The second and third have the same hash.
	ids := []string{"target", "collision-target", "colliderX<\x1b\x07@\x8a\xc1\xf1", "another"}
	require.Equal(t, xxhash.Sum64String(ids[1]), xxhash.Sum64String(ids[2]))
	reqs := requests(200)
	want := placeAll(t, byScope(), reqs, ids)
	for range len(ids) {
		ids = append(ids[1:], ids[0])
		require.Equal(t, want, placeAll(t, byScope(), reqs, ids))
		backward := slices.Clone(ids)
		slices.Reverse(backward)
		require.Equal(t, want, placeAll(t, byScope(), reqs, backward))
	}
	require.Contains(t, want, ids[2])
	require.NotContains(t, want, ids[1], "the lower ID wins a tie")
}

func TestRendezvousMovesOnlyTheKeysOfATargetThatLeaves(t *testing.T) {
	long(t)
	t.Parallel()
	const n = 10
	ids, reqs := idsOf(n), requests(20_000)
	before := placeAll(t, byScope(), reqs, ids)
	for gone := range n {
		rest := slices.Delete(slices.Clone(ids), gone, gone+1)
		inherited := make([]float64, len(rest))
		for i, place := range placeAll(t, byScope(), reqs, rest) {
			if before[i] == ids[gone] {
				inherited[slices.Index(rest, place)]++
			} else {
				require.Equal(t, before[i], place, "a key that had no reason to move")
			}
		}
		requireShares(t, equal(n-1), inherited)
	}
}

func TestRendezvousMovesKeysOnlyToATargetThatJoins(t *testing.T) {
	long(t)
	t.Parallel()
	const n = 10
	ids, reqs := idsOf(n+1), requests(20_000)
	before := placeAll(t, byScope(), reqs, ids[:n])
	moved := 0.0
	for i, place := range placeAll(t, byScope(), reqs, ids) {
		if place != before[i] {
			require.Equal(t, ids[n], place, "a key that moved between old targets")
			moved++
		}
	}
	requireShares(t, []float64{1, n}, []float64{moved, float64(len(reqs)) - moved})
}

// Hashing key and ID as one text would make these pairs of placements the same
// for every key. They must agree as often as chance has it.
func TestRendezvousKeepsKeyAndIDApart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		idsA, idsB       []string
		prefixA, suffixA string
	}{
		{name: "ID before key", idsA: []string{"x", "y"}, prefixA: "1", idsB: []string{"x1", "y1"}},
		{name: "key before ID", idsA: []string{"x", "y"}, suffixA: "1", idsB: []string{"1x", "1y"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, agree, differ := byScope(), 0.0, 0.0
			for _, req := range requests(2000) {
				a := pick(t, p, &extract.Request{Scope: test.prefixA + req.Scope + test.suffixA}, test.idsA)
				b := pick(t, p, req, test.idsB)
				if slices.Index(test.idsA, a) == slices.Index(test.idsB, b) {
					agree++
				} else {
					differ++
				}
			}
			requireShares(t, equal(2), []float64{agree, differ})
		})
	}
}

// A symmetric mix, such as the exclusive or of the two hashes, would give the
// pair of equal texts the same score whatever they are.
func TestRendezvousPlacesAKeyThatIsAnIDLikeAnyOther(t *testing.T) {
	t.Parallel()
	p, self := byScope(), 0.0
	const n = 2000
	for i := range n {
		id := fmt.Sprint("node-", i)
		if pick(t, p, &extract.Request{Scope: id}, []string{id, "other-" + id}) == id {
			self++
		}
	}
	requireShares(t, equal(2), []float64{self, n - self})
}

func TestRendezvousWithoutKeyIsUniform(t *testing.T) {
	t.Parallel()
	candidates := idsOf(8)
	t.Run("empty key", func(t *testing.T) {
		t.Parallel()
		p := balance.Rendezvous(itself, func(*extract.Request) string { return "" })
		counts := make([]float64, len(candidates))
		for range 8000 {
			counts[slices.Index(candidates, pick(t, p, &extract.Request{}, candidates))]++
		}
		requireShares(t, equal(len(candidates)), counts)
	})
	t.Run("nil request", func(t *testing.T) {
		t.Parallel()
		requireShares(t, equal(len(candidates)), tally(t, byScope(), candidates, 8000))
	})
}

// A restart, which ends all bindings, moves no session, nor does a change of the list at the
// same time move those whose targets remain.
func TestRendezvousOutlivesARestart(t *testing.T) {
	place := func(ts []*target) map[string]string {
		s, err := affinity.New(affinity.Config[*target]{ID: nameOf, Fallback: balance.Rendezvous(nameOf, scopeOf)})
		require.NoError(t, err)
		at := map[string]string{}
		for i := range 200 {
			id := fmt.Sprint("session-", i)
			sel, err := s.Select(t.Context(), &extract.Request{Scope: id, Header: http.Header{"X-Session-Id": {id}}}, ts)
			require.NoError(t, err)
			require.Equal(t, affinity.ReasonNew, sel.Reason)
			at[id] = sel.ID
		}
		return at
	}
	ts := targets(5)
	before := place(ts)
	require.Equal(t, before, place(ts))
	gone := ts[2].name
	for id, at := range place(slices.Delete(slices.Clone(ts), 2, 3)) {
		if before[id] != gone {
			require.Equal(t, before[id], at)
		}
	}
}

// Two gateways, of which one has seen an outage, place all sessions alike again: with
// FailoverReturn soon after it, else when their bindings have ended.
func TestRendezvousAgreesAfterAnOutage(t *testing.T) {
	for policy, want := range map[affinity.FailoverPolicy]time.Duration{
		affinity.FailoverReturn: 2 * time.Minute,
		affinity.FailoverRebind: affinity.DefaultTTL,
	} {
		synctest.Test(t, func(t *testing.T) {
			gateway := func() *affinity.Selector[*target] {
				s, err := affinity.New(affinity.Config[*target]{ID: nameOf, Fallback: balance.Rendezvous(nameOf, scopeOf), Failover: policy})
				require.NoError(t, err)
				return s
			}
			a, b, ts := gateway(), gateway(), targets(5)
			ask := func(s *affinity.Selector[*target], i int, ts []*target) string {
				id := fmt.Sprint("session-", i)
				sel, err := s.Select(t.Context(), &extract.Request{Scope: id, Header: http.Header{"X-Session-Id": {id}}}, ts)
				require.NoError(t, err)
				sel.Done(affinity.Outcome{Result: affinity.Served})
				return sel.ID
			}
			differ := func() (n int) {
				for i := range 200 {
					if ask(a, i, ts) != ask(b, i, ts) {
						n++
					}
				}
				return n
			}
			require.Zero(t, differ())
			for range 30 {
				for i := range 200 {
					ask(a, i, ts[1:])
				}
				pass(time.Second)
			}
			require.InDelta(t, 40, differ(), 20)
			pass(want)
			require.Zero(t, differ(), "%v", policy)
		})
	}
}

// Of two gateways, one was started after a target had joined. They differ about those of its
// sessions that the other one knows until that has forgotten where they were.
func TestRendezvousAgreesAfterATargetHasJoined(t *testing.T) {
	gateway := func() *affinity.Selector[*target] {
		s, err := affinity.New(affinity.Config[*target]{ID: nameOf, Fallback: balance.Rendezvous(nameOf, scopeOf)})
		require.NoError(t, err)
		return s
	}
	ts := targets(4)
	ask := func(s *affinity.Selector[*target], i int, ts []*target) string {
		id := fmt.Sprint("session-", i)
		sel, err := s.Select(t.Context(), &extract.Request{Scope: id, Header: http.Header{"X-Session-Id": {id}}}, ts)
		require.NoError(t, err)
		return sel.ID
	}
	old, young := gateway(), gateway()
	for i := range 200 {
		ask(old, i, ts[1:])
	}
	differ := func() (n int) {
		for i := range 200 {
			if ask(old, i, ts) != ask(young, i, ts) {
				n++
			}
		}
		return n
	}
	require.InDelta(t, 50, differ(), 20)
	old.Cache().Clear()
	require.Zero(t, differ())
}
