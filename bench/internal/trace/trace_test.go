package trace_test

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/bench/internal/trace"
)

const small = `#small block=64 nodes=9 absolute=0 cols=t_ms,session,parent_session,prompt_tokens,output_tokens,dur_ms,attach,new
0	0	-1	300	5	100	0	4
1500	0	-1	390	6	200	4	2
0	1	-1	200	7	300	2	1
700	2	0	250	8	400	3	2
`

func TestRead(t *testing.T) {
	got, err := trace.Read(strings.NewReader(small))
	require.NoError(t, err)
	require.Equal(t, &trace.Trace{
		Name: "small", Block: 64,
		Requests: []trace.Request{
			{0, 0, -1, 300, 5, 100 * time.Millisecond, 0, 4},
			{1500 * time.Millisecond, 0, -1, 390, 6, 200 * time.Millisecond, 4, 2},
			{0, 1, -1, 200, 7, 300 * time.Millisecond, 2, 1},
			{700 * time.Millisecond, 2, 0, 250, 8, 400 * time.Millisecond, 3, 2},
		},
	}, got)
	require.Equal(t, 3, got.Sessions())
	require.Zero(t, got.Span())

	var buf bytes.Buffer
	require.NoError(t, trace.Write(&buf, got))
	require.Equal(t, small, buf.String())
}

func TestOpen(t *testing.T) {
	name := filepath.Join(t.TempDir(), "small.tsv.gz")
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, err := z.Write([]byte(small))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(name, buf.Bytes(), 0o600))
	got, err := trace.Open(name)
	require.NoError(t, err)
	require.Len(t, got.Requests, 4)

	require.NoError(t, os.WriteFile(name, buf.Bytes()[:buf.Len()/2], 0o600))
	_, err = trace.Open(name)
	require.ErrorContains(t, err, name)
	require.NoError(t, os.WriteFile(name, []byte(small), 0o600))
	_, err = trace.Open(name)
	require.ErrorContains(t, err, name)
	_, err = trace.Open(name + "x")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestReadRefuses(t *testing.T) {
	const cols = " cols=t_ms,session,parent_session,prompt_tokens,output_tokens,dur_ms,attach,new\n"
	const head = "#x block=64 nodes=4 absolute=1" + cols
	_, err := trace.Read(strings.NewReader(head + "0\t0\t-1\t300\t1\t1\t0\t4\n"))
	require.NoError(t, err)
	for name, text := range map[string]string{
		"nothing":         "",
		"no header":       "0\t0\t-1\t1\t1\t1\t0\t1\n",
		"no block":        "#x block=0 nodes=0 absolute=1" + cols,
		"block of text":   "#x block=many nodes=0 absolute=1" + cols,
		"other columns":   "#x block=64 nodes=0 absolute=1 cols=a,b\n",
		"cut off":         head + "0\t0\t-1\t300\t1\t1\t0\t3\n",
		"few fields":      head + "0\t0\t-1\t300\t1\t1\t0\n",
		"many fields":     head + "0\t0\t-1\t300\t1\t1\t0\t4\t5\n",
		"no number":       head + "0\t0\t-1\tx\t1\t1\t0\t4\n",
		"negative":        head + "0\t-1\t-1\t300\t1\t1\t0\t4\n",
		"later node":      head + "0\t0\t-1\t300\t1\t1\t1\t4\n",
		"own parent":      head + "0\t3\t3\t300\t1\t1\t0\t4\n",
		"absurd session":  head + "0\t99999999\t-1\t300\t1\t1\t0\t4\n",
		"absurd new":      head + "0\t0\t-1\t300\t1\t1\t0\t99999999\n",
		"a line too long": head + strings.Repeat("9", 100000) + "\n",
	} {
		_, err := trace.Read(strings.NewReader(text))
		require.Error(t, err, name)
	}
}

func TestArrivals(t *testing.T) {
	tr, err := trace.Read(strings.NewReader(small))
	require.NoError(t, err)
	const spread = time.Hour
	a := tr.Arrivals(1, spread)
	require.Equal(t, a, tr.Arrivals(1, spread))
	require.NotEqual(t, a, tr.Arrivals(2, spread))
	require.True(t, slices.IsSortedFunc(a, func(a, b trace.Arrival) int { return int(a.At - b.At) }))
	at := map[int]time.Duration{}
	for _, a := range a {
		at[a.Request] = a.At
		require.Less(t, a.At, spread)
	}
	require.Len(t, at, 4)
	require.Equal(t, 1500*time.Millisecond, at[1]-at[0], "a session keeps its times")
	require.Equal(t, 700*time.Millisecond, at[3]-at[0], "a sub-agent keeps its distance to what started it")

	// What is after the end is cut off.
	tr.Requests[1].Time = spread
	require.Len(t, tr.Arrivals(1, spread), 3)
	tr.Requests[1].Time = spread - at[0]
	require.Len(t, tr.Arrivals(1, spread), 3, "and what is at the end")
	tr.Requests[1].Time = spread

	tr.Absolute = true
	require.Equal(t, []trace.Arrival{{0, 0}, {0, 2}, {700 * time.Millisecond, 3}, {spread, 1}}, tr.Arrivals(1, 0))
	require.Equal(t, spread+time.Second, tr.Span())
}

// random returns a trace whose prompts part everywhere.
func random(seed uint64, n int) *trace.Trace {
	r := rand.New(rand.NewPCG(seed, 1))
	t := &trace.Trace{Block: 64}
	next := 1
	for range n {
		q := trace.Request{Attach: r.IntN(next), New: r.IntN(6), Parent: -1}
		next += q.New
		t.Requests = append(t.Requests, q)
	}
	return t
}

// TestTrie compares the trie with one that has a node for every block.
func TestTrie(t *testing.T) {
	const cut = 5 * 64
	for seed := range uint64(20) {
		tr := random(seed, 60)
		trie := tr.Trie(cut)

		parent, ends := []int{-1}, []int{}
		for _, q := range tr.Requests {
			at := q.Attach
			for range q.New {
				parent = append(parent, at)
				at = len(parent) - 1
			}
			ends = append(ends, at)
		}
		path := func(node int) (nodes []int) {
			for ; node > 0; node = parent[node] {
				nodes = append(nodes, node)
			}
			slices.Reverse(nodes)
			return nodes
		}
		blocks := func(seg int32) (nodes []int) {
			for ; seg > 0; seg = trie.Parent[seg] {
				for k := trie.End[seg] - 1; k >= trie.Start(seg); k-- {
					nodes = append(nodes, int(trie.First[seg]+k-trie.Start(seg)))
				}
			}
			slices.Reverse(nodes)
			return nodes
		}
		for i, end := range ends {
			seg := trie.Path[i]
			require.Equal(t, path(end), blocks(seg))
			require.Equal(t, 64*len(path(end)), trie.Tokens(seg))
			up := trie.Upto(seg, cut)
			require.Equal(t, path(end)[:min(5, len(path(end)))], blocks(up)[:trie.End[up]], "cut at a depth")
			for j := range i {
				common := 0
				a, b := path(end), path(ends[j])
				for common < min(len(a), len(b)) && a[common] == b[common] {
					common++
				}
				require.Equal(t, common, int(trie.End[trie.Meet(seg, trie.Path[j])]))
			}
		}
	}
}
