package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/go-affinity/affinity"
)

// status is what the admin page shows.
type status struct {
	Upstreams []upstreamStatus `json:"upstreams"`
	Reasons   map[string]int64 `json:"reasons"` // they sum to the selections made
	Bindings  int              `json:"bindings"`
}

type upstreamStatus struct {
	Name      string     `json:"name"`
	URL       string     `json:"url"`
	Available bool       `json:"available"`
	OutUntil  *time.Time `json:"out_until,omitempty"`
	Bindings  int        `json:"bindings"`
	Requests  int64      `json:"requests"`
	Failures  int64      `json:"failures"`
}

func (g *gateway) status() status {
	s := status{Reasons: map[string]int64{}, Bindings: g.sel.Cache().Len()}
	counts := g.sel.Counts()
	now := time.Now()
	for _, u := range g.upstreams {
		us := upstreamStatus{
			Name:      u.name,
			URL:       u.url.Redacted(),
			Available: u.available(now),
			Bindings:  counts[u.name],
			Requests:  u.requests.Load(),
			Failures:  u.failures.Load(),
		}
		if !us.Available {
			until := time.Unix(0, u.outUntil.Load())
			us.OutUntil = &until
		}
		s.Upstreams = append(s.Upstreams, us)
	}
	for r := affinity.ReasonNoSession; int(r) < len(g.reasons); r++ {
		s.Reasons[r.String()] = g.reasons[r].Load()
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
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "upstream\turl\tstate\tbindings\trequests\tfailures")
		s := g.status()
		for _, u := range s.Upstreams {
			state := "up"
			if u.OutUntil != nil {
				state = "out until " + u.OutUntil.Format(time.TimeOnly)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\n", u.Name, u.URL, state, u.Bindings, u.Requests, u.Failures)
		}
		t.Flush()
		fmt.Fprintln(w)
		for r := affinity.ReasonNoSession; int(r) < len(g.reasons); r++ {
			fmt.Fprintf(t, "%s\t%d\n", r, s.Reasons[r.String()])
		}
		t.Flush()
	})
	mux.HandleFunc("DELETE /targets/{name}", func(w http.ResponseWriter, r *http.Request) {
		for _, u := range g.upstreams {
			if u.name == r.PathValue("name") {
				g.sel.InvalidateTarget(u.name)
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		reply(w, http.StatusNotFound, "no_such_target", "there is no upstream of that name")
	})
	mux.HandleFunc("DELETE /sessions/{digest}", func(w http.ResponseWriter, r *http.Request) {
		d, err := strconv.ParseUint(r.PathValue("digest"), 16, 64)
		if err != nil || d == 0 {
			reply(w, http.StatusBadRequest, "bad_digest", "want the 16 digits of an Affinity-Session header")
			return
		}
		if g.sel.InvalidateSession(affinity.Digest(d)) == 0 {
			reply(w, http.StatusNotFound, "no_such_session", "that session has no binding")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
