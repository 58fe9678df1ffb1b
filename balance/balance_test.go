package balance_test

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

// A target is what the tests balance over. Their pickers are told everything
// by it, so that a picker can be used with any list.
type target struct {
	name   string
	weight float64
	load   float64
}

// long leaves a test out with -short, as under the race detector: it would take twenty
// times as long, and all of it is in one goroutine.
func long(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
}

func nameOf(t *target) string             { return t.name }
func weightOf(t *target) float64          { return t.weight }
func loadOf(t *target) float64            { return t.load }
func scopeOf(req *extract.Request) string { return req.Scope }

// policies are all the pickers there are, by the name of their constructor.
var policies = []struct {
	name string
	new  func() affinity.Picker[*target]
}{
	{"RoundRobin", balance.RoundRobin[*target]},
	{"FillFirst", balance.FillFirst[*target]},
	{"Random", balance.Random[*target]},
	{"Weighted", func() affinity.Picker[*target] { return balance.Weighted(weightOf) }},
	{"PowerOfTwo", func() affinity.Picker[*target] { return balance.PowerOfTwo(loadOf) }},
	{"Rendezvous", func() affinity.Picker[*target] { return balance.Rendezvous(nameOf, scopeOf) }},
	{"LeastCost", func() affinity.Picker[*target] {
		return balance.LeastCost(balance.CostConfig[*target]{ID: nameOf, Weight: weightOf})
	}},
	{"Prefix", func() affinity.Picker[*target] {
		return balance.Prefix(balance.PrefixConfig[*target]{CostConfig: balance.CostConfig[*target]{ID: nameOf, Weight: weightOf}})
	}},
}

// What is tested of all pickers is tested of all that the package documentation lists,
// and that lists them all.
func TestPoliciesAreAll(t *testing.T) {
	var tested, listed, exported []string
	for _, p := range policies {
		tested = append(tested, p.name)
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`(?m)^func ([A-Z]\w+)\[T any\]\(.*\) affinity\.(Picker|Balancer)\[T\] \{$`).FindAllSubmatch(source, -1) {
			exported = append(exported, string(m[1]))
		}
		if file == "doc.go" {
			for _, m := range regexp.MustCompile(`(?m)^//\t(\w+)  +\w`).FindAllSubmatch(source, -1) {
				listed = append(listed, string(m[1]))
			}
		}
	}
	require.ElementsMatch(t, tested, listed)
	require.ElementsMatch(t, tested, exported)
}

// targets returns n targets t0, t1, ... of weight 1 and load 0.
func targets(n int) []*target {
	ts := make([]*target, n)
	for i := range ts {
		ts[i] = &target{name: "t" + strconv.Itoa(i), weight: 1}
	}
	return ts
}

// requests returns n requests that differ in their Scope.
func requests(n int) []*extract.Request {
	reqs := make([]*extract.Request, n)
	for i := range reqs {
		reqs[i] = &extract.Request{Scope: "key-" + strconv.Itoa(i)}
	}
	return reqs
}

// pick is Pick where it cannot fail.
func pick[T any](t testing.TB, p affinity.Picker[T], req *extract.Request, candidates []T) T {
	t.Helper()
	got, err := p.Pick(t.Context(), req, candidates)
	require.NoError(t, err)
	return got
}

// tally picks n times without a request and counts the answers in the order of
// the candidates.
func tally[T comparable](t testing.TB, p affinity.Picker[T], candidates []T, n int) []float64 {
	t.Helper()
	counts := make([]float64, len(candidates))
	for range n {
		counts[slices.Index(candidates, pick(t, p, nil, candidates))]++
	}
	return counts
}

// requireShares fails unless random picks with the given shares may well have
// led to counts. It is a chi-square test that a correct picker fails once in
// 7e10 runs, after the bound of Laurent and Massart (2000), lemma 1:
// P(X >= k + 2 sqrt(kx) + 2x) <= exp(-x) for k degrees of freedom.
func requireShares(t testing.TB, shares, counts []float64) {
	t.Helper()
	const x = 25
	var whole, n float64
	for i := range shares {
		whole += shares[i]
		n += counts[i]
	}
	var chi2, k float64
	for i, share := range shares {
		if share == 0 {
			require.Zero(t, counts[i], "picks of a candidate that has no share: %v", counts)
			continue
		}
		want := n * share / whole
		chi2 += (counts[i] - want) * (counts[i] - want) / want
		k++
	}
	k--
	require.Less(t, chi2, k+2*math.Sqrt(k*x)+2*x, "chi-square of counts %v for shares %v", counts, shares)
}

// equal returns n equal shares.
func equal(n int) []float64 { return slices.Repeat([]float64{1}, n) }

func TestNoCandidates(t *testing.T) {
	t.Parallel()
	for _, policy := range policies {
		t.Run(policy.name, func(t *testing.T) {
			t.Parallel()
			p := policy.new()
			for _, none := range [][]*target{nil, {}} {
				got, err := p.Pick(t.Context(), &extract.Request{Scope: "key"}, none)
				require.ErrorIs(t, err, affinity.ErrNoCandidates)
				require.Nil(t, got)
			}
		})
	}
}

func TestSingleCandidate(t *testing.T) {
	t.Parallel()
	for _, policy := range policies {
		t.Run(policy.name, func(t *testing.T) {
			t.Parallel()
			p := policy.new()
			one := []*target{{name: "only", weight: math.NaN(), load: math.NaN()}}
			for _, req := range []*extract.Request{nil, {}, {Scope: "key"}} {
				require.Same(t, one[0], pick(t, p, req, one))
			}
		})
	}
}

func TestNilFunctionPanics(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, want string
		construct  func()
	}{
		{"weight of Weighted", "balance: Weighted needs a weight function", func() { balance.Weighted[int](nil) }},
		{"load of PowerOfTwo", "balance: PowerOfTwo needs a load function", func() { balance.PowerOfTwo[int](nil) }},
		{"id of Rendezvous", "balance: Rendezvous needs an id function", func() { balance.Rendezvous[*target](nil, scopeOf) }},
		{"ID of LeastCost", "balance: LeastCost needs CostConfig.ID", func() { balance.LeastCost(balance.CostConfig[*target]{}) }},
		{"ID of Prefix", "balance: Prefix needs PrefixConfig.ID", func() { balance.Prefix(balance.PrefixConfig[*target]{}) }},
		{"key of Rendezvous", "balance: Rendezvous needs a key function", func() { balance.Rendezvous(nameOf, nil) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.PanicsWithValue(t, test.want, test.construct)
		})
	}
}

// TestConcurrentPicks runs many goroutines over lists of changing length that
// share their memory. The race detector sees a picker that writes to them, or
// to anything of its own without care.
func TestConcurrentPicks(t *testing.T) {
	t.Parallel()
	for _, policy := range policies {
		t.Run(policy.name, func(t *testing.T) {
			t.Parallel()
			p, all, reqs := policy.new(), targets(16), append(requests(7), nil)
			before := slices.Clone(all)
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					for i := range 2000 {
						from := (g + i) % 8
						candidates := all[from : from+1+i%8]
						got, err := p.Pick(t.Context(), reqs[i%len(reqs)], candidates)
						if err != nil || !slices.Contains(candidates, got) {
							t.Errorf("Pick gave %v, %v", got, err)
							return
						}
					}
				})
			}
			wg.Wait()
			require.Equal(t, before, all, "the candidates must stay as they are")
		})
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	req, ts := &extract.Request{Scope: "key"}, targets(64)
	for _, policy := range policies {
		t.Run(policy.name, func(t *testing.T) {
			p, ctx := policy.new(), t.Context()
			require.Zero(t, testing.AllocsPerRun(100, func() {
				for _, req := range []*extract.Request{req, nil} {
					if _, err := p.Pick(ctx, req, ts); err != nil {
						panic(err)
					}
				}
			}))
		})
	}
}
