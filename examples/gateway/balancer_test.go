package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// With -prefix, conversations that begin alike go to the upstream that has the beginning.
func TestNewBalancer(t *testing.T) {
	t.Parallel()
	for _, prefix := range []bool{false, true} {
		b := newBalancer(prefix)
		upstreams := []*upstream{{name: "a"}, {name: "b"}}
		ask := func(question string) string {
			body := `{"system":"` + strings.Repeat("All work and no play. ", 2000) + `","messages":[{"role":"user","content":"` + question + `"}]}`
			u, ticket, err := b.Place(t.Context(), &extract.Request{Body: []byte(body)}, upstreams)
			require.NoError(t, err)
			b.Settle(u.name, ticket, affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: 11000, Output: 100}})
			return u.name
		}
		first := ask("Where is Oslo?")
		require.Equal(t, prefix, first == ask("And Rome?"))
		_, err := b.Pick(t.Context(), nil, nil)
		require.ErrorIs(t, err, affinity.ErrNoCandidates)
	}
}

// What was placed in vain does not count. That it was not placed, but bound, makes no difference
// to what was.
func TestSpreadOfWhatFails(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		n := &w.g.upstreams[0].recent.n
		w.do("s")
		require.EqualValues(t, 1, *n)
		w.let("a", refuses(500))
		w.do("s")
		require.EqualValues(t, 1, *n)
		<-time.After(burst)
		w.do("another")
		require.InDelta(t, 0.5, *n, 0.01)
	}, func(o *options) { o.patience = 0 })
}

// Of the sessions of a moment, each upstream gets about as many. What was placed a while ago
// counts less and less, and one that comes new, or that did not take what it was given, has
// nothing to make up for.
func TestSpread(t *testing.T) {
	t.Parallel()
	var s spread
	now := time.Unix(1000, 0)
	a, b, c := &upstream{name: "a"}, &upstream{name: "b"}, &upstream{name: "c"}
	open := func(candidates ...*upstream) (names string) {
		for _, u := range s.open(candidates, now) {
			names += u.name
		}
		return names
	}
	require.Equal(t, "ab", open(a, b))
	a.recent.n++
	require.Equal(t, "b", open(a, b))
	s.failed(b)
	require.Zero(t, b.recent.n)
	s.failed(a)
	require.Equal(t, "ab", open(a, b))
	a.recent.n, b.recent.n = 10, 9
	require.Equal(t, "ab", open(a, b), "about as many")
	a.recent.n = 11
	require.Equal(t, "b", open(a, b))
	require.Equal(t, "bc", open(a, b, c))
	require.EqualValues(t, 9, c.recent.n)
	now = now.Add(2 * burst)
	require.Equal(t, "abc", open(a, b, c))
	require.InDelta(t, 11.0/4, a.recent.n, 0.001)

	// Where all are new, or were away, the least of them counts.
	a.recent.n, s.last = 20, now.Add(time.Second)
	require.Equal(t, "bc", open(b, c, a))
}
