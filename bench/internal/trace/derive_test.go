package trace

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shared returns how many tokens the prompts of two requests have in common.
func shared(t *Trace, i, j int) int {
	trie := t.Trie(0)
	return trie.Tokens(trie.Meet(trie.Path[i], trie.Path[j]))
}

func TestKeep(t *testing.T) {
	tr, err := Generate("cc6", 1)
	require.NoError(t, err)
	tr.Requests = tr.Requests[:600]
	require.Equal(t, tr.Requests, tr.Keep(func(int) bool { return true }).Requests)
	require.Empty(t, tr.Keep(func(int) bool { return false }).Requests)

	part := tr.Keep(func(s int) bool { return s%2 == 0 })
	var from []int // the requests that were kept
	for i, r := range tr.Requests {
		if r.Session%2 == 0 {
			from = append(from, i)
		}
	}
	require.Len(t, part.Requests, len(from))
	for k := 1; k < len(from); k += 7 {
		require.Equal(t, shared(tr, from[k-1], from[k]), shared(part, k-1, k), "requests %d and %d", from[k-1], from[k])
		require.Equal(t, tr.Requests[from[k]].Prompt, part.Requests[k].Prompt)
	}
}

func TestMix(t *testing.T) {
	a := &Trace{Block: 64, Requests: []Request{{Prompt: 640, New: 10}, {Session: 1, Parent: 0, Prompt: 640, Attach: 5, New: 5}}}
	a.Requests[0].Parent = -1
	b := &Trace{Block: 128, Requests: []Request{{Parent: -1, Prompt: 512, New: 4}, {Parent: -1, Prompt: 640, Attach: 4, New: 1}}}
	m := Mix("both", a, b)
	require.Equal(t, 64, m.Block)
	require.Equal(t, 3, m.Sessions())
	require.Equal(t, 320, shared(m, 0, 1))
	require.Equal(t, 512, shared(m, 2, 3))
	require.Zero(t, shared(m, 0, 2))
	require.Equal(t, []int{-1, 0, -1, -1}, []int{m.Requests[0].Parent, m.Requests[1].Parent, m.Requests[2].Parent, m.Requests[3].Parent})
}

func TestTimes(t *testing.T) {
	a := &Trace{Absolute: true, Requests: []Request{{Time: 10 * time.Second}, {Time: 12 * time.Second, Session: 1}, {Time: 15 * time.Second}}}
	r := a.Relative()
	require.False(t, r.Absolute)
	require.Equal(t, []time.Duration{0, 0, 5 * time.Second}, []time.Duration{r.Requests[0].Time, r.Requests[1].Time, r.Requests[2].Time})
	require.Equal(t, 15*time.Second, r.Stretch(3).Requests[2].Time)
	require.Equal(t, 15*time.Second, a.Requests[2].Time, "what is derived from stays")
}
