package affinity_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

func targets(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("target-%03d", i)
	}
	return list
}

// A request of a bound session, by what names it and by how much there is to
// read and to choose from.
func BenchmarkSelect(b *testing.B) {
	long := func(n int) string { return strings.Repeat("All work and no play.\\n", n/22) }
	body := func(head, tail string, n int) []byte {
		return []byte(`{"model":"m",` + head + `"messages":[{"role":"user","content":"` + long(n) + `"}]` + tail + `}`)
	}
	const claude = `,"metadata":{"user_id":"{\"device_id\":\"d\",\"session_id\":\"ca40aa6d-4238-464e-98df-6ba3e9377c6e\"}"}`
	header := http.Header{"X-Session-Id": {"ca40aa6d-4238-464e-98df-6ba3e9377c6e"}}
	for _, size := range []int{2 << 10, 256 << 10, 2 << 20} {
		for _, signal := range []struct {
			name string
			req  *extract.Request
		}{
			{"header", &extract.Request{Header: header, Body: body("", "", size)}},
			{"claude-user-id", &extract.Request{Body: body("", claude, size)}},
			{"trail", &extract.Request{Body: body("", "", size)}},
		} {
			for _, n := range []int{8, 512} {
				if n == 512 && signal.name != "header" {
					continue
				}
				b.Run(fmt.Sprintf("signal=%s/body=%dkB/targets=%d", signal.name, size>>10, n), func(b *testing.B) {
					s := newSelector(b, affinity.Config[string]{})
					candidates := targets(n)
					ctx := b.Context()
					req := new(extract.Request)
					b.ReportAllocs()
					for b.Loop() {
						// A Request keeps what it has read, so each is a new one. They are all made in
						// one place, for what the caller allocates is not to be counted.
						*req = extract.Request{Header: signal.req.Header, Body: signal.req.Body}
						if _, err := s.Select(ctx, req, candidates); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// First requests of sessions: placing, and evicting once the table is full.
func BenchmarkFirstRequest(b *testing.B) {
	for _, capacity := range []int{1000, 1 << 20} {
		b.Run(fmt.Sprintf("capacity=%d", capacity), func(b *testing.B) {
			s := newSelector(b, affinity.Config[string]{Capacity: capacity})
			candidates := targets(8)
			ctx := b.Context()
			var n atomic.Int64
			b.ReportAllocs()
			for b.Loop() {
				req := extract.Request{Header: http.Header{"X-Session-Id": {fmt.Sprint("id-", n.Add(1))}}}
				if _, err := s.Select(ctx, &req, candidates); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Many threads on many sessions, and on a single one.
func BenchmarkSelectParallel(b *testing.B) {
	for _, sessions := range []int{1, 1000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			s := newSelector(b, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
			candidates := targets(8)
			reqs := make([]*extract.Request, sessions)
			for i := range reqs {
				reqs[i] = session(fmt.Sprint(i))
			}
			var turn atomic.Int64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				ctx := b.Context()
				for i := int(turn.Add(31)); pb.Next(); i++ {
					if _, err := s.Select(ctx, reqs[i%sessions], candidates); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
