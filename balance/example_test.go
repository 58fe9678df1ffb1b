package balance_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

func ExampleRoundRobin() {
	p := balance.RoundRobin[string]()
	for range 4 {
		account, _ := p.Pick(context.Background(), nil, []string{"a", "b", "c"})
		fmt.Println(account)
	}
	// Output:
	// a
	// b
	// c
	// a
}

func ExampleFillFirst() {
	p := balance.FillFirst[string]()
	account, _ := p.Pick(context.Background(), nil, []string{"flat-rate", "pay-as-you-go"})
	fmt.Println(account)

	// The caller has found the first one to be exhausted.
	account, _ = p.Pick(context.Background(), nil, []string{"pay-as-you-go"})
	fmt.Println(account)
	// Output:
	// flat-rate
	// pay-as-you-go
}

func ExampleRandom() {
	p := balance.Random[string]()
	picked := map[string]bool{}
	for range 1000 {
		account, _ := p.Pick(context.Background(), nil, []string{"a", "b", "c"})
		picked[account] = true
	}
	fmt.Println(picked)
	// Output: map[a:true b:true c:true]
}

func ExampleWeighted() {
	seats := map[string]float64{"team": 3, "personal": 1}
	p := balance.Weighted(func(account string) float64 { return seats[account] })
	for range 8 {
		account, _ := p.Pick(context.Background(), nil, []string{"team", "personal"})
		fmt.Println(account)
	}
	// Output:
	// team
	// team
	// personal
	// team
	// team
	// team
	// team
	// personal
}

func ExamplePowerOfTwo() {
	// Tokens of work lately, as the caller counts them.
	work := map[string]float64{"a": 80_000, "b": 15_000}
	p := balance.PowerOfTwo(func(account string) float64 { return work[account] })
	account, _ := p.Pick(context.Background(), nil, []string{"a", "b"})
	fmt.Println(account)
	// Output: b
}

func ExampleRendezvous() {
	p := balance.Rendezvous(
		func(replica string) string { return replica },
		func(req *extract.Request) string { return req.Header.Get("X-User") },
	)
	req := &extract.Request{Header: map[string][]string{"X-User": {"ada"}}}
	for _, candidates := range [][]string{
		{"vllm-0", "vllm-1", "vllm-2"},
		{"vllm-2", "vllm-1", "vllm-0"}, // as another gateway lists them
		{"vllm-1", "vllm-2"},           // vllm-0 is down
	} {
		replica, _ := p.Pick(context.Background(), req, candidates)
		fmt.Println(replica)
	}
	// Output:
	// vllm-0
	// vllm-0
	// vllm-1
}

// After a restart no binding is left. If sessions are placed by their ids, or by how they
// begin, each still goes on where it was, unless its target is gone.
func ExampleRendezvous_restart() {
	named := extract.Default()
	name := func(req *extract.Request) string {
		s, ok := named.Extract(req)
		if opening, opens := req.Opening(); ok && s.Confidence != extract.Explicit && opens {
			// Each turn has an ID of its own, or all conversations of an application may have one.
			return fmt.Sprintf("%q opening %x", req.Scope, opening)
		}
		if !ok {
			return ""
		}
		return fmt.Sprintf("%q %q %q", req.Scope, s.Source, cmp.Or(s.Parent, s.ID)) // a sub-agent starts where its parent is
	}
	start := func() *affinity.Selector[string] {
		id := func(replica string) string { return replica }
		sel, err := affinity.New(affinity.Config[string]{ID: id, Fallback: balance.Rendezvous(id, name)})
		if err != nil {
			panic(err)
		}
		return sel
	}
	first := func() *extract.Request {
		return &extract.Request{Body: []byte(`{"messages":[{"role":"user","content":"Name a river."}]}`)}
	}
	second := func() *extract.Request {
		return &extract.Request{Body: []byte(`{"messages":[{"role":"user","content":"Name a river."},` +
			`{"role":"assistant","content":"The Elbe."},{"role":"user","content":"Another one."}]}`)}
	}
	replicas := []string{"vllm-0", "vllm-1", "vllm-2", "vllm-3"}

	before, _ := start().Select(context.Background(), first(), replicas)
	after, _ := start().Select(context.Background(), second(), replicas)
	fmt.Println(after.Reason, after.Target == before.Target)

	main := http.Header{"X-Session-Id": {"chat-1"}}
	agent := http.Header{"X-Session-Id": {"chat-2"}, "X-Parent-Session-Id": {"chat-1"}}
	before, _ = start().Select(context.Background(), &extract.Request{Header: main}, replicas)
	after, _ = start().Select(context.Background(), &extract.Request{Header: agent}, replicas)
	fmt.Println(after.Reason, after.Target == before.Target)

	used := map[string]bool{}
	for i := range 20 {
		req := &extract.Request{Body: fmt.Appendf(nil, `{"prompt_cache_key":"my-app","messages":[{"role":"user","content":"Question %d"}]}`, i)}
		choice, _ := start().Select(context.Background(), req, replicas)
		used[choice.Target] = true
	}
	fmt.Println(len(used), "replicas")
	// Output:
	// new true
	// new true
	// 4 replicas
}

// The fallback looks into a store first, such as Redis. Gateways that share it send a session
// to the same target, and so does one that has restarted. The fallback is asked only about
// sessions that its own gateway does not know, and those that have to move.
func Example_store() {
	store := map[string]string{} // entries should expire, and of two first writes the first should count
	named := extract.Default()
	start := func() *affinity.Selector[string] {
		choose := balance.Random[string]()
		fallback := func(ctx context.Context, req *extract.Request, candidates []string) (string, error) {
			s, ok := named.Extract(req)
			if !ok || s.Confidence != extract.Explicit { // see ExampleRendezvous_restart
				return choose.Pick(ctx, req, candidates)
			}
			name := fmt.Sprintf("%q %q %q", req.Scope, s.Source, s.ID) // store a keyed hash
			if target := store[name]; slices.Contains(candidates, target) {
				return target, nil
			}
			target, err := choose.Pick(ctx, req, candidates)
			if err == nil {
				store[name] = target
			}
			return target, err
		}
		sel, err := affinity.New(affinity.Config[string]{
			ID:       func(replica string) string { return replica },
			Fallback: affinity.PickerFunc[string](fallback),
		})
		if err != nil {
			panic(err)
		}
		return sel
	}
	one, two := start(), start()
	req := &extract.Request{Header: http.Header{"X-Session-Id": {"chat-1"}}}
	replicas := []string{"vllm-0", "vllm-1", "vllm-2", "vllm-3"}
	home, _ := one.Select(context.Background(), req, replicas)
	same, _ := two.Select(context.Background(), req, replicas)
	fmt.Println(same.Reason, same.Target == home.Target)

	replicas = slices.DeleteFunc(replicas, func(r string) bool { return r == home.Target })
	moved, _ := two.Select(context.Background(), req, replicas)
	for _, gateway := range []*affinity.Selector[string]{one, start()} {
		same, _ = gateway.Select(context.Background(), req, replicas)
		fmt.Println(same.Reason, same.Target == moved.Target)
	}
	// Output:
	// new true
	// failover true
	// new true
}

func ExampleLeastCost() {
	// As the fallback of a Selector, it is told of all this by itself.
	b := balance.LeastCost(balance.CostConfig[string]{
		ID: func(account string) string { return account },
	})
	ticket := b.Charge(nil, "a", true) // a request of a session that stays on a
	account, _ := b.Pick(context.Background(), nil, []string{"a", "b"})
	fmt.Println(account)

	// The outcome says that it was a small one; that of b is under way.
	b.Settle("a", ticket, affinity.Outcome{
		Result: affinity.Served,
		Usage:  affinity.Usage{Uncached: 100, Cached: 900, Output: 30},
	})
	account, _ = b.Pick(context.Background(), nil, []string{"a", "b"})
	fmt.Println(account)
	// Output:
	// b
	// a
}

func ExamplePrefix() {
	sel, _ := affinity.New(affinity.Config[string]{
		ID:        func(account string) string { return account },
		Extractor: extract.Chain{}, // no sessions: Prefix decides for every request
		Fallback: balance.Prefix(balance.PrefixConfig[string]{CostConfig: balance.CostConfig[string]{
			ID: func(account string) string { return account },
		}}),
	})
	ask := func(document, question string) string {
		body := `{"messages":[{"role":"system","content":"` + strings.Repeat(document, 2000) + `"},{"role":"user","content":"` + question + `"}]}`
		choice, _ := sel.Select(context.Background(), &extract.Request{Body: []byte(body)}, []string{"a", "b", "c"})
		choice.Done(affinity.Outcome{Result: affinity.Served})
		return choice.Target
	}
	law, novel := ask("Whereas ", "Who must pay?"), ask("Call me ", "Who tells this?")
	fmt.Println(law != novel)
	fmt.Println(ask("Whereas ", "And when?") == law, ask("Call me ", "Where is he?") == novel)
	// Output:
	// true
	// true true
}

// A picker of your own that leaves the region only if it must.
func Example() {
	next := balance.RoundRobin[string]()
	nearby := func(ctx context.Context, req *extract.Request, candidates []string) (string, error) {
		var near []string
		for _, c := range candidates {
			if strings.HasPrefix(c, "eu-") {
				near = append(near, c)
			}
		}
		if len(near) == 0 {
			near = candidates
		}
		return next.Pick(ctx, req, near)
	}

	var p affinity.Picker[string] = affinity.PickerFunc[string](nearby)
	for _, candidates := range [][]string{{"us-1", "eu-1", "eu-2"}, {"us-1", "eu-1", "eu-2"}, {"us-1"}} {
		account, _ := p.Pick(context.Background(), nil, candidates)
		fmt.Println(account)
	}
	// Output:
	// eu-1
	// eu-2
	// us-1
}

// preferred is a balancer that takes rented accounts only if there are no others. The one
// that it embeds has all other methods, and so is told of all requests and outcomes.
type preferred struct{ affinity.Balancer[string] }

func (p preferred) Place(ctx context.Context, req *extract.Request, candidates []string) (string, affinity.Ticket, error) {
	var own []string
	for _, c := range candidates {
		if strings.HasPrefix(c, "own-") {
			own = append(own, c)
		}
	}
	if len(own) == 0 {
		own = candidates
	}
	return p.Balancer.Place(ctx, req, own)
}

func (p preferred) Pick(ctx context.Context, req *extract.Request, candidates []string) (string, error) {
	target, _, err := p.Place(ctx, req, candidates)
	return target, err
}

// A balancer of your own, made of LeastCost.
func Example_balancer() {
	id := func(account string) string { return account }
	sel, err := affinity.New(affinity.Config[string]{
		ID:       id,
		Fallback: preferred{balance.LeastCost(balance.CostConfig[string]{ID: id})},
	})
	if err != nil {
		panic(err)
	}
	accounts := []string{"rented", "own-1", "own-2"}
	ask := func(session string, tokens int) {
		req := &extract.Request{Header: http.Header{"X-Session-Id": {session}}}
		choice, err := sel.Select(context.Background(), req, accounts)
		if err != nil {
			panic(err)
		}
		fmt.Println(session, choice.Target == "rented")
		choice.Done(affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: tokens}})
	}
	ask("a", 100_000)
	ask("b", 1000)
	ask("b", 1000)
	ask("c", 1000) // goes where b is: a was told to have cost more
	first, _ := sel.Peek(&extract.Request{Header: http.Header{"X-Session-Id": {"b"}}})
	last, _ := sel.Peek(&extract.Request{Header: http.Header{"X-Session-Id": {"c"}}})
	fmt.Println(first.Target == last.Target)
	// Output:
	// a false
	// b false
	// b false
	// c false
	// true
}
