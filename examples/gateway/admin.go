package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/go-affinity/affinity"
)

// counters are what the admin page counts. They agree at any time: as many
// requests at the upstreams as there are reasons.
type counters struct {
	mu       sync.Mutex
	reasons  map[affinity.Reason]int64
	requests map[string]int64 // by upstream
	failures map[string]int64
}

func newCounters() *counters {
	return &counters{reasons: map[affinity.Reason]int64{}, requests: map[string]int64{}, failures: map[string]int64{}}
}

func (c *counters) selected(choice *selection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reasons[choice.Reason]++
	c.requests[choice.ID]++
}

func (c *counters) failed(choice *selection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures[choice.ID]++
}

// status is what the admin page shows.
type status struct {
	Upstreams  []upstreamStatus `json:"upstreams"`
	Selections int64            `json:"selections"`
	Reasons    map[string]int64 `json:"reasons"` // they sum to the selections
}

type upstreamStatus struct {
	Name      string     `json:"name"`
	URL       string     `json:"url"`
	Available bool       `json:"available"`
	OutUntil  *time.Time `json:"out_until,omitempty"`
	Bindings  int        `json:"bindings"` // one for each session known by an id, a few for each of the others
	Requests  int64      `json:"requests"`
	Failures  int64      `json:"failures"`
}

// reasons are those that the page always shows, in order.
var reasons = []affinity.Reason{
	affinity.ReasonBound, affinity.ReasonNew, affinity.ReasonInherited, affinity.ReasonPinned,
	affinity.ReasonFailover, affinity.ReasonDetour, affinity.ReasonReturned, affinity.ReasonExpired,
	affinity.ReasonOverload, affinity.ReasonSideCall, affinity.ReasonNoSession,
}

func (g *gateway) status() status {
	bindings := g.sel.Counts()
	now := time.Now()
	c := g.counters
	c.mu.Lock()
	defer c.mu.Unlock()
	s := status{Reasons: make(map[string]int64)}
	for _, r := range reasons {
		s.Reasons[r.String()] = 0
	}
	for r, n := range c.reasons {
		s.Reasons[r.String()] = n
		s.Selections += n
	}
	for _, u := range g.upstreams {
		us := upstreamStatus{
			Name:      u.name,
			URL:       u.url.String(),
			Available: true,
			Bindings:  bindings[u.name],
			Requests:  c.requests[u.name],
			Failures:  c.failures[u.name],
		}
		if until, _ := u.outUntil(now); !until.IsZero() {
			us.Available, us.OutUntil = false, &until
		}
		s.Upstreams = append(s.Upstreams, us)
	}
	return s
}

// admin returns the handler of the admin page. It shows no id, key or prompt.
func (g *gateway) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.Encode(g.status())
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		s := g.status()
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "upstream\tstate\tbindings\trequests\tfailures\turl")
		for _, u := range s.Upstreams {
			state := "in"
			if u.OutUntil != nil {
				state = "out until " + u.OutUntil.Format(time.TimeOnly)
			}
			fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%s\n", u.Name, state, u.Bindings, u.Requests, u.Failures, u.URL)
		}
		fmt.Fprintln(t, "\nreason\tselections")
		for _, r := range reasons {
			fmt.Fprintf(t, "%s\t%d\n", r, s.Reasons[r.String()])
		}
		fmt.Fprintf(t, "all\t%d\n", s.Selections)
		t.Flush()
	})
	target := func(act func(w http.ResponseWriter, r *http.Request, name string)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for _, u := range g.upstreams {
				if u.name == r.PathValue("name") {
					act(w, r, u.name)
					return
				}
			}
			reply(w, http.StatusNotFound, "no_such_target", "there is no upstream of that name")
		}
	}
	mux.HandleFunc("DELETE /targets/{name}", target(func(w http.ResponseWriter, _ *http.Request, name string) {
		g.sel.InvalidateTarget(name)
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("PUT /targets/{name}/drain", target(func(w http.ResponseWriter, r *http.Request, name string) {
		var until time.Time
		if s := r.URL.Query().Get("for"); s != "" {
			d, err := time.ParseDuration(s)
			if err != nil || d <= 0 {
				reply(w, http.StatusBadRequest, "bad_duration", "want for=DURATION, such as 10m, or nothing for no deadline")
				return
			}
			until = time.Now().Add(d)
		}
		g.sel.Drain(name, until)
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("DELETE /targets/{name}/drain", target(func(w http.ResponseWriter, _ *http.Request, name string) {
		g.sel.Resume(name)
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("POST /targets/{name}/move", target(func(w http.ResponseWriter, r *http.Request, name string) {
		to := r.URL.Query().Get("to")
		if !slices.ContainsFunc(g.upstreams, func(u *upstream) bool { return u.name == to }) {
			reply(w, http.StatusBadRequest, "no_such_target", "want to=NAME, the name of an upstream")
			return
		}
		n := g.sel.Cache().MoveFunc(to, func(_ affinity.Key, b affinity.Binding) bool { return b.Target == name })
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]int{"moved": n})
	}))
	mux.HandleFunc("DELETE /sessions/{digest}", func(w http.ResponseWriter, r *http.Request) {
		d, err := affinity.ParseDigest(r.PathValue("digest"))
		switch {
		case err != nil:
			reply(w, http.StatusBadRequest, "bad_digest", "want the 16 digits of an Affinity-Session header")
		case g.sel.InvalidateSession(d) == 0:
			reply(w, http.StatusNotFound, "no_such_session", "that session has no binding")
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	return mux
}
