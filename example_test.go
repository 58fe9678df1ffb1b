package affinity_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing/iotest"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

type Account struct{ Name string }

var accounts = []*Account{{"anna"}, {"ben"}, {"cleo"}}

// incoming is a request as a server would get it.
func incoming(session string) *http.Request {
	r := httptest.NewRequest("POST", "/v1/messages", strings.NewReader(`{"model":"m"}`))
	r.Header.Set("X-Session-ID", session)
	return r
}

// The main use: ask for every request, and report what became of it.
func Example() {
	sel, err := affinity.New(affinity.Config[*Account]{
		ID:       func(a *Account) string { return a.Name },
		Fallback: balance.RoundRobin[*Account](),
	})
	if err != nil {
		panic(err)
	}
	handle := func(r *http.Request) {
		req, err := extract.FromHTTP(r, 0) // leaves r.Body readable
		if err != nil {
			return // 400
		}
		req.Scope = "tenant-1" // whom you have authenticated
		choice, err := sel.Select(r.Context(), req, accounts)
		if err != nil {
			return // 503
		}
		status, err := send(r, choice.Target)
		choice.Done(affinity.OutcomeOf(status, err))
		fmt.Println(r.Header.Get("X-Session-ID"), "->", choice.ID, choice.Reason)
	}
	handle(incoming("chat-1"))
	handle(incoming("chat-2"))
	handle(incoming("chat-1"))
	// Output:
	// chat-1 -> anna new
	// chat-2 -> ben new
	// chat-1 -> anna bound
}

func send(*http.Request, *Account) (int, error) { return 200, nil }

// Sessions differ in work by orders of magnitude. LeastCost evens out work if outcomes
// tell what requests cost.
func Example_leastCost() {
	name := func(a *Account) string { return a.Name }
	sel, err := affinity.New(affinity.Config[*Account]{
		ID:       name,
		Fallback: balance.LeastCost(balance.CostConfig[*Account]{ID: name}),
	})
	if err != nil {
		panic(err)
	}
	ask := func(session string, tokens int) string {
		choice, err := sel.Select(context.Background(), request(session), accounts)
		if err != nil {
			panic(err)
		}
		choice.Done(affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: tokens}})
		return choice.ID
	}
	heavy := ask("heavy", 500_000)
	light := map[string]int{}
	for i := range 100 {
		light[ask(fmt.Sprint("light ", i), 1000)]++
	}
	fmt.Println("light sessions beside the heavy one:", light[heavy])
	// Output:
	// light sessions beside the heavy one: 0
}

// A decision is safe to log: it holds no id that a client sent.
func ExampleDecision() {
	sel := selector()
	choice, err := sel.Select(context.Background(), request("secret"), []string{"anna", "ben"})
	if err != nil {
		panic(err)
	}
	choice.Done(affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: 1200, Cached: 88000, Output: 350}})
	choice.Session = 0x1f // differs from one process to the next
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	log.Info("request", "affinity", choice.Decision)
	// Output:
	// level=INFO msg=request affinity.target=anna affinity.reason=new affinity.source=x-session-id affinity.confidence=explicit affinity.session=000000000000001f affinity.result=served affinity.uncached=1200 affinity.cached=88000 affinity.output=350 affinity.cost=11750
}

// One counter for each reason, which is fit for the label of a metric. Together with Failed,
// they add up to the number of calls of Select and Pick.
func ExampleSelector_Stats() {
	sel := selector()
	for _, session := range []string{"chat-1", "chat-2", "chat-1"} {
		if _, err := sel.Pick(context.Background(), request(session), []string{"anna", "ben"}); err != nil {
			panic(err)
		}
	}
	stats := sel.Stats()
	for _, reason := range slices.Sorted(maps.Keys(stats.Selected)) {
		if n := stats.Selected[reason]; n > 0 {
			fmt.Printf("affinity_selected_total{reason=%q} %d\n", reason, n)
		}
	}
	// Output:
	// affinity_selected_total{reason="bound"} 1
	// affinity_selected_total{reason="new"} 2
}

// Drain lets a target run dry: sessions stay, new ones go elsewhere.
func ExampleSelector_Drain() {
	sel := selector()
	ask := func(session string) string {
		choice, err := sel.Select(context.Background(), request(session), []string{"anna", "ben"})
		if err != nil {
			panic(err)
		}
		return fmt.Sprint(choice.ID, " ", choice.Reason)
	}
	fmt.Println(ask("chat-1"))
	sel.Drain("anna", time.Time{})
	fmt.Println(ask("chat-1"))
	fmt.Println(ask("chat-2"))
	fmt.Println(ask("chat-3"))
	fmt.Println(sel.Drained()["anna"].IsZero()) // no deadline
	sel.Resume("anna")
	fmt.Println(len(sel.Drained()))
	// Output:
	// anna new
	// anna bound
	// ben new
	// ben new
	// true
	// 0
}

// All sessions of a target move to another, without losing a binding.
func ExampleCache_MoveFunc() {
	sel := selector()
	for i := range 6 {
		if _, err := sel.Select(context.Background(), request(fmt.Sprint("chat-", i)), []string{"anna", "ben"}); err != nil {
			panic(err)
		}
	}
	moved := sel.Cache().MoveFunc("cleo", func(_ affinity.Key, b affinity.Binding) bool { return b.Target == "anna" })
	fmt.Println(moved, sel.Counts())
	// Output:
	// 3 map[ben:3 cleo:3]
}

// A tenth of the sessions of a target is released, to be placed anew when they come back.
func ExampleCache_DeleteFunc() {
	sel := selector()
	for i := range 6000 {
		if _, err := sel.Pick(context.Background(), request(fmt.Sprint("chat-", i)), []string{"anna", "ben"}); err != nil {
			panic(err)
		}
	}
	released := sel.Cache().DeleteFunc(func(_ affinity.Key, b affinity.Binding) bool {
		return b.Target == "anna" && b.Session%10 == 0
	})
	fmt.Println("about 300:", released > 200 && released < 400)
	// Output:
	// about 300: true
}

// All sessions of a tenant are released.
func ExampleSelector_Scope() {
	sel := selector()
	for i := range 5 {
		req := request(fmt.Sprint("chat-", i))
		req.Scope = []string{"tenant-1", "tenant-2"}[i%2]
		if _, err := sel.Pick(context.Background(), req, []string{"anna", "ben"}); err != nil {
			panic(err)
		}
	}
	scope := sel.Scope("", "tenant-1")
	fmt.Println(sel.Cache().DeleteFunc(func(_ affinity.Key, b affinity.Binding) bool { return b.Scope == scope }))
	// Output: 3
}

// Counts counts bindings, of which a session may have several. This counts sessions, without
// those that have moved away: they have a second place there at most.
func ExampleCache_All() {
	sel := selector()
	for _, agent := range []string{"", "agent-1", "agent-2"} {
		h := http.Header{"X-Claude-Code-Session-Id": {"chat-1"}}
		if agent != "" {
			h.Set("X-Claude-Code-Agent-Id", agent)
		}
		if _, err := sel.Pick(context.Background(), &extract.Request{Header: h}, []string{"anna", "ben"}); err != nil {
			panic(err)
		}
	}
	for _, candidates := range [][]string{{"anna"}, {"ben"}} {
		if _, err := sel.Pick(context.Background(), request("chat-2"), candidates); err != nil {
			panic(err)
		}
	}
	sessions := map[affinity.Digest]bool{}
	for _, b := range sel.Cache().All() {
		if b.Target == "anna" && !b.Aside {
			sessions[b.Session] = true
		}
	}
	fmt.Println(sel.Counts()["anna"], "bindings,", len(sessions), "session")
	// Output: 3 bindings, 1 session
}

func selector() *affinity.Selector[string] {
	sel, err := affinity.New(affinity.Config[string]{
		ID:       func(target string) string { return target },
		Fallback: balance.RoundRobin[string](),
	})
	if err != nil {
		panic(err)
	}
	return sel
}

func request(session string) *extract.Request {
	return &extract.Request{Header: http.Header{"X-Session-Id": {session}}}
}

func ExampleNew() {
	_, err := affinity.New(affinity.Config[string]{
		ID: func(target string) string { return target },
	})
	fmt.Println(err)
	// Output: affinity: Config.Fallback is nil: give a Picker, for example balance.RoundRobin
}

// A session leaves a home that is not among the candidates. The target that serves instead
// is its home from then on.
func ExampleSelector_Select() {
	sel, ctx := selector(), context.Background()
	for _, candidates := range [][]string{{"a", "b"}, {"b"}, {"a", "b"}} {
		choice, err := sel.Select(ctx, request("chat-1"), candidates)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%v -> %s, %s, left %q\n", candidates, choice.Target, choice.Reason, choice.From)
	}
	// Output:
	// [a b] -> a, new, left ""
	// [b] -> b, failover, left "a"
	// [a b] -> b, bound, left ""
}

// A client that names no session is known by its messages: a turn leads back
// to the turn before it.
func ExampleSelector_Select_messages() {
	sel, ctx := selector(), context.Background()
	const turn1 = `{"role":"user","content":"Where is Oslo?"}`
	const turn2 = turn1 + `,{"role":"assistant","content":"In Norway."},{"role":"user","content":"And Bergen?"}`
	for _, messages := range []string{turn1, turn2} {
		req := &extract.Request{Body: []byte(`{"messages":[` + messages + `]}`)}
		choice, err := sel.Select(ctx, req, []string{"a", "b", "c"})
		if err != nil {
			panic(err)
		}
		fmt.Println(choice.Target, choice.Reason, choice.Source)
	}
	// Output:
	// a new trail
	// a inherited trail
}

// Selectors nest: a session stays at its host, and all sessions of a user start at the same one.
func ExampleSelector_Pick_nested() {
	type host struct{ region, name string }
	id := func(h host) string { return h.region + "/" + h.name }
	perUser, err := affinity.New(affinity.Config[host]{
		ID:        id,
		Extractor: extract.Header("X-User"),
		Fallback:  balance.RoundRobin[host](),
	})
	if err != nil {
		panic(err)
	}
	perSession, err := affinity.New(affinity.Config[host]{ID: id, Fallback: perUser})
	if err != nil {
		panic(err)
	}
	hosts := []host{{"eu", "1"}, {"eu", "2"}, {"us", "1"}}
	for _, session := range []string{"chat-1", "chat-2"} {
		req := &extract.Request{Header: http.Header{"X-User": {"u"}, "X-Session-Id": {session}}}
		h, err := perSession.Pick(context.Background(), req, hosts)
		if err != nil {
			panic(err)
		}
		fmt.Println(session, id(h))
	}
	// Output:
	// chat-1 eu/1
	// chat-2 eu/1
}

// A filter that gets the headers before the body, as Envoy's ext_proc does, need not wait for
// the body if the headers name a session that has a home. (With FailPinned it has to wait. And in
// Anthropic's protocol, an older Claude Code's id in the body goes before all headers but its own.)
func ExampleSelector_Peek_headers() {
	sel := selector()
	for range 2 {
		req := request("chat-1")
		_, found := sel.Peek(req)
		if !found {
			req.Body = []byte(`{"messages":[]}`) // when all of it has come
		}
		choice, err := sel.Select(context.Background(), req, []string{"a", "b"})
		if err != nil {
			panic(err)
		}
		fmt.Println(choice.Target, choice.Reason, len(req.Body))
	}
	// Output:
	// a new 15
	// a bound 0
}

// A scheduler that weighs a session's home against other things asks for the home by Peek.
// Then it selects with its choice as the only candidate, so the session goes on there.
func ExampleSelector_Peek_scheduler() {
	sel := selector()
	queued := map[string]float64{"a": 2, "b": 3}
	for range 3 {
		req := request("chat-1")
		home, _ := sel.Peek(req)
		cost := func(target string) float64 {
			if target == home.Target {
				return queued[target] // has the prompt
			}
			return queued[target] + 5
		}
		best := slices.MinFunc([]string{"a", "b"}, func(x, y string) int { return cmp.Compare(cost(x), cost(y)) })
		choice, err := sel.Select(context.Background(), req, []string{best})
		if err != nil {
			panic(err)
		}
		fmt.Println(choice.Target, choice.Reason)
		queued[best] += 4
	}
	// Output:
	// a new
	// a bound
	// b failover
}

// Targets that take only so many requests at a time. A session waits for its home for a while,
// since elsewhere all of its prompt would have to be read. Places are taken before Select, and
// what is not needed given back: a session moves to what Select answers, even if that turns
// out to be full.
func ExampleSelector_Peek_slots() {
	sel := selector()
	places := map[string]chan struct{}{"a": make(chan struct{}, 1), "b": make(chan struct{}, 2)}
	begin := func(ctx context.Context, session string) (end func()) {
		req := request(session)
		var free []string // those that a place was taken at
		if home, ok := sel.Peek(req); ok && places[home.Target] != nil {
			select {
			case places[home.Target] <- struct{}{}:
				free = append(free, home.Target)
			case <-ctx.Done(): // how long to wait for it: see context.WithTimeout
			}
		}
		if len(free) == 0 {
			for _, target := range []string{"a", "b"} {
				select {
				case places[target] <- struct{}{}:
					free = append(free, target)
				default:
				}
			}
		}
		choice, err := sel.Select(context.Background(), req, free)
		for _, target := range free {
			if target != choice.ID { // it is "" if there is an error
				<-places[target]
			}
		}
		if err != nil {
			panic(err) // ErrNoCandidates: all are full
		}
		fmt.Println(session, choice.Target, choice.Reason)
		return func() {
			<-places[choice.ID]
			choice.Done(affinity.Outcome{Result: affinity.Served})
		}
	}
	patient := context.Background()
	impatient, cancel := context.WithCancel(patient)
	cancel()

	end := begin(patient, "chat-1")
	begin(patient, "chat-2")
	go end()
	begin(patient, "chat-1") // waits
	begin(impatient, "chat-1")
	// Output:
	// chat-1 a new
	// chat-2 b new
	// chat-1 a bound
	// chat-1 b failover
}

func ExampleSelector_Invalidate() {
	sel, ctx := selector(), context.Background()
	for range 2 {
		choice, err := sel.Select(ctx, request("chat-1"), []string{"a", "b"})
		if err != nil {
			panic(err)
		}
		fmt.Println(choice.Target, choice.Reason)
		sel.Invalidate(request("chat-1"))
	}
	// Output:
	// a new
	// b new
}

// A scheduler that runs later, and so cannot be the fallback, chooses where no session has a
// say. The fallback leaves the choice open by an error. Select returns that, and is called
// again with what the scheduler has chosen as the only candidate.
func ExampleSelector_Select_scheduler() {
	errOpen := errors.New("the scheduler is to choose")
	sel, err := affinity.New(affinity.Config[string]{
		ID: func(target string) string { return target },
		Fallback: affinity.PickerFunc[string](func(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
			if len(candidates) > 1 {
				return "", errOpen
			}
			return candidates[0], nil
		}),
		Failover: affinity.FailoverReturn,
	})
	if err != nil {
		panic(err)
	}
	queued := map[string]int{"a": 1, "b": 2, "c": 3}
	for _, candidates := range [][]string{{"a", "b", "c"}, {"a", "b", "c"}, {"b", "c"}, {"b", "c"}} {
		ctx, req := context.Background(), request("chat-1")
		choice, err := sel.Select(ctx, req, candidates)
		if errors.Is(err, errOpen) {
			shortest := slices.MinFunc(candidates, func(x, y string) int { return cmp.Compare(queued[x], queued[y]) })
			choice, err = sel.Select(ctx, req, []string{shortest})
		}
		if err != nil {
			panic(err)
		}
		fmt.Println(choice.Target, choice.Reason)
		queued[choice.Target] += 5
	}
	// Output:
	// a new
	// a bound
	// b failover
	// b detour
}

// Some upstreams find a prompt in their cache only if all requests of a conversation come
// with the same prompt_cache_key. For clients that send none, the session's digest will do.
func ExampleDigest() {
	sel := selector()
	const turn1 = `{"role":"user","content":"Where is Oslo?"}`
	const turn2 = turn1 + `,{"role":"assistant","content":"In Norway."},{"role":"user","content":"And Bergen?"}`
	keys := map[string]int{}
	for _, messages := range []string{turn1, turn2} {
		req := &extract.Request{Body: []byte(`{"messages":[` + messages + `]}`)}
		choice, err := sel.Select(context.Background(), req, []string{"a", "b", "c"})
		if err != nil {
			panic(err)
		}
		keys[choice.Session.String()]++ // "" if there is no session
	}
	for key, turns := range keys {
		fmt.Println(len(key), "digits, the same for", turns, "turns")
	}
	// Output: 16 digits, the same for 2 turns
}

// An operator names a session by its digest from a log.
func ExampleSelector_InvalidateSession() {
	sel := selector()
	choice, err := sel.Select(context.Background(), request("chat-1"), []string{"a", "b"})
	if err != nil {
		panic(err)
	}
	logged := choice.Session.String()
	session, err := affinity.ParseDigest(logged)
	if err != nil {
		panic(err)
	}
	fmt.Println(sel.InvalidateSession(session))
	// Output: 1
}

func ExampleSelector_InvalidateTarget() {
	sel, ctx := selector(), context.Background()
	for i := range 4 {
		if _, err := sel.Pick(ctx, request(fmt.Sprint("chat-", i)), []string{"a", "b"}); err != nil {
			panic(err)
		}
	}
	fmt.Println(sel.Counts())
	sel.InvalidateTarget("a")
	fmt.Println(sel.Counts())
	// Output:
	// map[a:2 b:2]
	// map[b:2]
}

func ExampleSelector_Counts() {
	sel := selector()
	if _, err := sel.Pick(context.Background(), request("chat-1"), []string{"a", "b"}); err != nil {
		panic(err)
	}
	fmt.Println(sel.Counts())
	// Output: map[a:1]
}

// A new configuration takes over the bindings of the old one, and the fallback, which may
// remember what targets have done. The old Selector is not closed, since some requests
// still have it.
func ExampleSelector_Cache() {
	ctx := context.Background()
	cfg := affinity.Config[string]{
		ID:       func(target string) string { return target },
		Fallback: balance.RoundRobin[string](),
	}
	old, err := affinity.New(cfg)
	if err != nil {
		panic(err)
	}
	if _, err := old.Pick(ctx, request("chat-1"), []string{"a", "b"}); err != nil {
		panic(err)
	}
	cfg.Cache = old.Cache()
	cfg.Failover = affinity.FailoverReturn
	sel, err := affinity.New(cfg)
	if err != nil {
		panic(err)
	}
	choice, err := sel.Select(ctx, request("chat-1"), []string{"a", "b", "c"})
	fmt.Println(choice.Target, choice.Reason, err)
	// Output: a bound <nil>
}

// A request that fails is tried on the other candidates. Each attempt is a selection of
// its own, with an outcome of its own. In a proxy, take the body of each from r.GetBody,
// which extract.FromHTTP sets. It is nil if there is no body, or one that is larger than the
// limit and cannot be sent twice.
func ExampleSelector_Select_retry() {
	sel, ctx := selector(), context.Background()
	status := map[string]int{"a": 429, "b": 400, "c": 200}
	req, candidates := request("chat-1"), []string{"a", "b", "c"}
	for len(candidates) > 0 {
		choice, err := sel.Select(ctx, req, candidates)
		if err != nil {
			panic(err)
		}
		outcome := affinity.OutcomeOf(status[choice.Target], nil)
		choice.Done(outcome)
		fmt.Println(choice.Target, choice.Reason, outcome.Result)
		if outcome.Result == affinity.Served || outcome.Result == affinity.Neutral {
			break // nobody else could do better, or the client has left
		}
		candidates = slices.DeleteFunc(slices.Clone(candidates), func(t string) bool { return t == choice.Target })
	}
	// Output:
	// a new transient-failure
	// b failover neutral
}

// What costs extra is a candidate only while nothing else has room. Sessions leave it as
// soon as something has, and with FailoverReturn they go back to where they were before.
// To let them stay, offer all, with a fallback that prefers a tier, such as the example
// Balancer of package balance, and Drain what has no room for new sessions.
func Example_tiers() {
	sel, err := affinity.New(affinity.Config[string]{
		ID:       func(target string) string { return target },
		Fallback: balance.RoundRobin[string](),
		Failover: affinity.FailoverReturn,
	})
	if err != nil {
		panic(err)
	}
	ask := func(session string, reserved ...string) { // those that have room
		candidates := reserved
		if len(candidates) == 0 {
			candidates = []string{"pay-as-you-go"}
		}
		choice, err := sel.Select(context.Background(), request(session), candidates)
		if err != nil {
			panic(err)
		}
		fmt.Println(session, choice.Target, choice.Reason)
	}
	ask("chat-1", "reserved-1", "reserved-2")
	ask("chat-1") // all are full
	ask("chat-2")
	ask("chat-1", "reserved-1", "reserved-2")
	ask("chat-2", "reserved-1", "reserved-2")
	// Output:
	// chat-1 reserved-1 new
	// chat-1 pay-as-you-go failover
	// chat-2 pay-as-you-go new
	// chat-1 reserved-1 returned
	// chat-2 reserved-2 failover
}

// With httputil.ReverseProxy: one proxy for all requests, and the target in their context.
// It reports in a deferred call, since ReverseProxy panics if the upstream breaks off in the
// middle of its answer.
func ExampleSelection_Done_proxy() {
	sel := selector()
	type exchange struct {
		host   string
		status int   // of the answer,
		err    error // or why there is none
	}
	type exchangeKey struct{}
	of := func(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }
	proxy := &httputil.ReverseProxy{
		Transport: breaksOff{},
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: of(p.In.Context()).host})
		},
		ModifyResponse: func(resp *http.Response) error {
			of(resp.Request.Context()).status = resp.StatusCode
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			of(r.Context()).err = err
			w.WriteHeader(http.StatusBadGateway)
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	handle := func(w http.ResponseWriter, r *http.Request) {
		req, err := extract.FromHTTP(r, 0)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		choice, err := sel.Select(r.Context(), req, []string{"anna", "ben", "gone"})
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		x := &exchange{host: choice.Target}
		whole := false
		defer func() {
			switch {
			case r.Context().Err() != nil:
				x.err = r.Context().Err() // the client left: that says nothing about the upstream
			case !whole:
				x.err = io.ErrUnexpectedEOF
			}
			choice.Done(affinity.OutcomeOf(x.status, x.err))
			fmt.Println(choice.Target, choice.Outcome.Result)
		}()
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
		whole = true
	}
	for i := range 3 {
		r := incoming(fmt.Sprint("chat-", i))
		r = r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, new(http.Server)))
		func() {
			defer func() {
				if v := recover(); v != nil {
					fmt.Println("panic:", v)
				}
			}()
			handle(httptest.NewRecorder(), r)
		}()
	}
	// Output:
	// anna served
	// ben transient-failure
	// panic: net/http: abort Handler
	// gone transient-failure
}

// breaksOff stands for all upstreams: ben breaks off, gone is not there, others answer.
type breaksOff struct{}

func (breaksOff) RoundTrip(r *http.Request) (*http.Response, error) {
	body := io.Reader(strings.NewReader("{}"))
	switch r.URL.Host {
	case "gone":
		return nil, io.EOF
	case "ben":
		body = iotest.ErrReader(io.ErrUnexpectedEOF)
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(body), Request: r}, nil
}

// A WebSocket stays at the target where it was opened. Each of its turns is a selection of
// its own, with that target as the only candidate from the second on.
func ExampleSelection_Done_websocket() {
	sel, candidates := selector(), []string{"a", "b", "c"}
	for _, message := range []string{
		`{"type":"response.create","input":"Where is Oslo?"}`,
		`{"type":"response.create","input":"And Bergen?","previous_response_id":"resp_1"}`,
	} {
		// The message is what the body of a POST would be. Header is that of the handshake.
		req := &extract.Request{Method: "POST", Path: "/v1/responses", Body: []byte(message)}
		choice, err := sel.Select(context.Background(), req, candidates)
		if err != nil {
			panic(err)
		}
		candidates = []string{choice.Target}
		choice.Learn("resp_1")                                 // the id in response.created
		choice.Done(affinity.Outcome{Result: affinity.Served}) // at response.completed
		fmt.Println(choice.Target, choice.Reason)
	}
	// Output:
	// a new
	// a bound
}

// Requests that come after Close are served, but bind nothing.
func ExampleSelector_Close() {
	sel := selector()
	if err := sel.Close(); err != nil {
		panic(err)
	}
	choice, err := sel.Select(context.Background(), request("chat-1"), []string{"a", "b"})
	fmt.Println(choice.Target, choice.Reason, err)
	// Output: a no-session <nil>
}

func ExampleSelection_Done() {
	sel, ctx := selector(), context.Background()
	choice, err := sel.Select(ctx, request("chat-1"), []string{"a", "b"})
	if err != nil {
		panic(err)
	}
	choice.Done(affinity.OutcomeOf(http.StatusUnauthorized, nil)) // of no use any more
	fmt.Println(sel.Counts())
	// Output: map[]
}

func ExampleOutcomeOf() {
	fmt.Println(affinity.OutcomeOf(200, nil).Result)
	fmt.Println(affinity.OutcomeOf(429, nil).Result)
	fmt.Println(affinity.OutcomeOf(401, nil).Result)
	fmt.Println(affinity.OutcomeOf(0, context.Canceled).Result)
	// Output:
	// served
	// transient-failure
	// terminal-failure
	// neutral
}

// A function as the fallback: it takes the target with the fewest requests under way.
func ExamplePickerFunc() {
	underWay := map[string]int{"a": 4, "b": 1, "c": 2}
	least := affinity.PickerFunc[string](func(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
		return slices.MinFunc(candidates, func(x, y string) int { return cmp.Compare(underWay[x], underWay[y]) }), nil
	})
	target, err := least.Pick(context.Background(), nil, []string{"a", "b", "c"})
	fmt.Println(target, err)
	// Output: b <nil>
}

// A Cache can be used by itself.
func ExampleCache() {
	c, err := affinity.NewCache(affinity.CacheConfig{Capacity: 1000})
	if err != nil {
		panic(err)
	}
	key := c.Key("tenant-1", "chat-1")
	c.Set(key, "a")
	target, ok := c.Get(key)
	fmt.Println(target, ok)
	b, won := c.SetIfAbsent(key, "b")
	fmt.Println(b.Target, won)
	c.DeleteTarget("a")
	_, ok = c.Get(key)
	fmt.Println(ok)
	// Output:
	// a true
	// a false
	// false
}

// In a full Cache, what was used least recently makes room for what is new.
func ExampleNewCache() {
	c, err := affinity.NewCache(affinity.CacheConfig{Capacity: 2})
	if err != nil {
		panic(err)
	}
	for _, session := range []string{"chat-1", "chat-2", "chat-3"} {
		c.Set(c.Key(session), "a")
	}
	for _, session := range []string{"chat-1", "chat-2", "chat-3"} {
		_, ok := c.Peek(c.Key(session))
		fmt.Println(session, ok)
	}
	// Output:
	// chat-1 false
	// chat-2 true
	// chat-3 true
}

// A request that names nothing but the response that it continues is sent where that
// response is.
func ExampleSelection_Learn() {
	sel, ctx := selector(), context.Background()
	ask := func(body string) *affinity.Selection[string] {
		choice, err := sel.Select(ctx, &extract.Request{Body: []byte(body)}, []string{"a", "b", "c"})
		if err != nil {
			panic(err)
		}
		fmt.Println(choice.Target, choice.Reason)
		return &choice
	}
	first := ask(`{"input":"Where is Oslo?","store":true}`)
	first.Learn("resp_1") // as extract.StateReader found it in the response
	ask(`{"input":"What is the time?"}`)
	ask(`{"input":"And Bergen?","previous_response_id":"resp_1"}`)
	// Output:
	// a new
	// b new
	// a bound
}

func ExamplePinnedError() {
	sel, err := affinity.New(affinity.Config[string]{
		ID:         func(target string) string { return target },
		Fallback:   balance.FillFirst[string](),
		FailPinned: true,
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	choice, err := sel.Select(ctx, request("chat-1"), []string{"a"})
	if err != nil {
		panic(err)
	}
	choice.Learn("resp_1")
	_, err = sel.Select(ctx, &extract.Request{Body: []byte(`{"previous_response_id":"resp_1"}`)}, []string{"b"})
	if pinned, ok := errors.AsType[*affinity.PinnedError](err); ok {
		fmt.Println("wait for", pinned.Target)
	}
	// Output: wait for a
}

// Sub-agents start where their session is, or are placed like sessions.
func ExampleThreadPolicy() {
	for _, threads := range []affinity.ThreadPolicy{affinity.ThreadsStart, affinity.ThreadsSpread} {
		sel, err := affinity.New(affinity.Config[string]{
			ID:       func(target string) string { return target },
			Fallback: balance.RoundRobin[string](),
			Threads:  threads,
		})
		if err != nil {
			panic(err)
		}
		for _, agent := range []string{"", "agent-1", "agent-2"} {
			h := http.Header{"X-Claude-Code-Session-Id": {"chat-1"}}
			if agent != "" {
				h.Set("X-Claude-Code-Agent-Id", agent)
			}
			target, err := sel.Pick(context.Background(), &extract.Request{Header: h}, []string{"a", "b", "c"})
			if err != nil {
				panic(err)
			}
			fmt.Print(target)
		}
		fmt.Println()
	}
	// Output:
	// aaa
	// abc
}
