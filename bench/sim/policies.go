package main

import (
	"math/rand/v2"
	"strings"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
)

// A policy is a way to choose upstreams. Either ours or peer makes its router, for
// one run: ours in a bubble of virtual time.
type policy struct {
	key  string // for -policies and files
	name string // for people
	ours func(*driver) (router, error)
	peer func(*driver, *rand.Rand) router
}

// policies are all there are, in the order of the tables.
var policies = []policy{
	{key: "rr", name: "round robin", peer: roundRobin},
	{key: "random", name: "random", peer: random},
	{key: "inflight", name: "least in-flight", peer: leastInFlight},
	{key: "rendezvous", name: "rendezvous(session)", peer: rendezvous},
	{key: "chbl", name: "consistent hashing, bounded load 1.25", peer: boundedLoads},
	{key: "sglang", name: "SGLang cache-aware 0.5", peer: sglang(0.5, true)},
	{key: "sglang-first", name: "SGLang cache-aware 0.5, first of ties", peer: sglang(0.5, false)},
	{key: "llmd", name: "llm-d prefix scorer", peer: prefixScorer(1, 0)},
	{key: "gie", name: "GIE prefix 3 : in-flight 2", peer: prefixScorer(3, 2)},
	{key: "lmetric", name: "LMetric", peer: lmetric},
	{key: "sessions-rr", name: "sessions + RoundRobin", ours: sessions(func(*library) affinity.Picker[int] { return balance.RoundRobin[int]() })},
	{key: "sessions-cost", name: "sessions + LeastCost", ours: sessions(leastCost)},
	{key: "sessions-prefix", name: "sessions + Prefix", ours: sessions(prefix)},
	{key: "sessions-bound", name: "sessions + Prefix, MaxShare 1.1", ours: sessions(boundedPrefix)},
	{key: "prefix", name: "Prefix, no sessions", ours: stateless(prefix)},
}

// leastCost, prefix and boundedPrefix make the fallbacks of our policies.
func leastCost(*library) affinity.Picker[int] {
	return balance.LeastCost(balance.CostConfig[int]{ID: nameOf})
}

func prefix(l *library) affinity.Picker[int] {
	return balance.Prefix(balance.PrefixConfig[int]{CostConfig: balance.CostConfig[int]{ID: nameOf}, Boundaries: l.boundaries})
}

func boundedPrefix(l *library) affinity.Picker[int] {
	return balance.Prefix(balance.PrefixConfig[int]{CostConfig: balance.CostConfig[int]{ID: nameOf, MaxShare: 1.1}, Boundaries: l.boundaries})
}

// chosen returns the policies of a comma-separated list of keys, where "all", "ours"
// and "peers" stand for all of that kind.
func chosen(list string) ([]policy, error) {
	var all []policy
	for key := range strings.SplitSeq(list, ",") {
		found := false
		for _, p := range policies {
			if key == p.key || key == "all" || key == "ours" && p.ours != nil || key == "peers" && p.peer != nil {
				all, found = append(all, p), true
			}
		}
		if !found {
			return nil, unknown("policy", key, keys())
		}
	}
	return all, nil
}

// keys returns what may be in such a list.
func keys() []string {
	keys := []string{"all", "ours", "peers"}
	for _, p := range policies {
		keys = append(keys, p.key)
	}
	return keys
}
