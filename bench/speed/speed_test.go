package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/bench/speed/internal/lap"
	"github.com/go-affinity/affinity/bench/speed/internal/peers"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

// The test binary is also the program that it starts for a child.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		main()
		return
	}
	os.Exit(m.Run())
}

// One group from the flags to the file.
func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "result.json")
	var out bytes.Buffer
	var log []string
	require.NoError(t, run(t.Context(), []string{"-quick", "-run", "^messages$", "-json", file}, &out, func(line string) { log = append(log, line) }))
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	got, err := result.Read(f)
	require.NoError(t, err)
	require.True(t, got.Quick)
	require.Len(t, got.Groups, 1)
	require.Equal(t, "messages", got.Groups[0].Name)
	require.NotEmpty(t, got.Groups[0].Verdicts)
	for _, race := range got.Groups[0].Races {
		for _, row := range race.Rows {
			require.Len(t, row.Samples, 5)
			for _, x := range row.Samples {
				require.Positive(t, x)
			}
		}
	}
	require.Contains(t, out.String(), "QUICK RUN")
	require.Contains(t, out.String(), "message hash, 2 MB")
	require.Contains(t, log, "messages (1 of 1): 2 MB: round 5 of 5: affinity")
}

// What is wrong with the flags is said before anything is measured.
func TestFlags(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "none", "file")
	for _, args := range [][]string{
		{"-run", "("}, {"header"}, {"-nonsense"}, {"-run", "nosuch"}, {"-quick", "-run", "messages", "-json", nowhere},
	} {
		var out bytes.Buffer
		require.Error(t, run(t.Context(), args, &out, func(string) {}), "%v", args)
		require.Empty(t, out.String(), "%v", args)
	}
}

// An interrupted run ends although its group goes on, and leaves the file of an
// earlier one alone.
func TestInterrupt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "result.json")
	require.NoError(t, os.WriteFile(file, []byte("earlier"), 0o666))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	require.ErrorContains(t, run(ctx, []string{"-quick", "-run", "messages", "-json", file}, io.Discard, func(string) {}), "interrupted")
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "earlier", string(kept))

	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		s := &setting{Context: ctx}
		end := make(chan struct{})
		defer close(end)
		time.AfterFunc(time.Minute, stop)
		_, err := s.measure(group{"endless", func(*setting) (result.Group, error) {
			<-end
			return result.Group{}, nil
		}})
		require.ErrorIs(t, err, context.Canceled)
	})
}

// What is compared in the first group does what it says; and so in the others.
func TestContenders(t *testing.T) {
	once := func(list []lap.Contender) {
		for _, c := range list {
			if c.Missing == "" {
				c.Do(3)
			}
		}
	}
	body := []byte(`{"model":"m","conversation_id":"3f1c9a52-7f0e-4d3b-9a67-0c2be41d8e55"}`)
	contenders, end := headerContenders(body, targetsOf(8))
	once(contenders)
	end()
	once(readers(body))
	once(hashers([][]byte{[]byte(`{"messages":[{"role":"user","content":"a"}]}`)}))
	for _, hot := range []bool{false, true} {
		for thread := range 2 {
			tableHits(peers.Ours, hot)(thread, 2500)
			tableHits(peers.Plain, hot)(thread, 2500)
			control(thread, 3)
		}
	}
}

// One operation in a hundred is a write, of a key that is made of the next one.
func TestMixed(t *testing.T) {
	table := peers.Kinds[0].New(1000, time.Hour)
	w := peers.NewWalk(peers.Keys(250), 0)
	mixed(table, w, 240, func(key string) string { return "new " + key })
	for i := range 250 {
		require.Equal(t, i == 99 || i == 199 || i == 239, table.Lookup([]string{"new " + peers.Key(i)}) == 1, "%d", i)
	}
}

func TestTableChild(t *testing.T) {
	c, err := newTableChild(peers.Ours, 1000)
	require.NoError(t, err)
	ask := func(question string) float64 {
		x, err := c.answer(question)
		require.NoError(t, err)
		return x.(float64)
	}
	ask("fill")
	bound := func() (n int) {
		for _, key := range peers.Keys(1000) {
			if _, ok := c.table.Get(key); ok {
				n++
			}
		}
		return n
	}
	require.Equal(t, 1000, bound())
	for i := range manyTargets {
		ask("invalidate")
		require.Equal(t, 1000-100*(i+1), bound())
	}
	ask("invalidate")
	require.Equal(t, 900, bound(), "filled anew")
	ask("invalidate all")
	require.Zero(t, bound())
	require.GreaterOrEqual(t, ask("gc"), 0.0)
	_, err = c.answer("what")
	require.Error(t, err)
	_, err = c.answer("stall soon")
	require.Error(t, err)
	_, err = newTableChild("nobody's", 1)
	require.Error(t, err)
	require.Error(t, child(t.Context(), []string{"nobody"}, nil, nil))
}

func TestAnswer(t *testing.T) {
	var out strings.Builder
	err := answer(strings.NewReader("a\nbb\n"), &out, func(q string) (any, error) { return len(q), nil })
	require.NoError(t, err)
	require.Equal(t, "1\n2\n", out.String())
	err = answer(strings.NewReader("a\n"), &out, func(string) (any, error) { return nil, io.ErrUnexpectedEOF })
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestWorst(t *testing.T) {
	races := []result.Race{
		{Name: "a", Rows: []result.Row{{Name: "x", Samples: []float64{1, 2, 3}}, {Name: "y", Samples: []float64{99}}}},
		{Name: "b", Rows: []result.Row{{Name: "x", Samples: []float64{11, 12, 13}}}},
		{Name: "c", Rows: []result.Row{{Name: "x", Samples: []float64{11}}}},
	}
	value, note := worst(races, "x", 10)
	require.Equal(t, 12.0, value.Median)
	require.Equal(t, "2 MB of b; 2 of 3 bodies take more than 10.0: b, c", note)
	value, note = worst(races[:1], "x", 10)
	require.Equal(t, 2.0, value.Median)
	require.Equal(t, "2 MB of a", note)
}

func TestObjects(t *testing.T) {
	require.Zero(t, objects(result.Row{Allocs: &result.Allocs{Objects: 0.009}}).Median)
	require.Equal(t, 0.01, objects(result.Row{Allocs: &result.Allocs{Objects: 0.01}}).Median)
	require.Zero(t, objects(result.Row{}).N, "not counted")
}

// Two threads on a machine that is busy half of the time.
func TestGain(t *testing.T) {
	rows := map[string][2][]float64{
		"x":       {{10, 10, 10, 10, 10, 10}, {5, 10, 5, 10, 5, 10}},
		"control": {{2, 2, 2, 2, 2, 2}, {1, 2, 1, 2, 1, 2}},
	}
	race := result.Race{}
	for name, samples := range rows {
		race.Rows = append(race.Rows, result.Row{Name: scaleRow(name, 1), Samples: samples[0]}, result.Row{Name: scaleRow(name, 2), Samples: samples[1]})
	}
	gain, note := gainOf(race, "x")
	require.Equal(t, result.Spread{Median: 2, Q1: 2, Q3: 2, N: 3}, gain)
	require.Contains(t, note, "3 rounds of 6")

	for i := range race.Rows {
		race.Rows[i].Samples = race.Rows[i].Samples[:4]
	}
	gain, note = gainOf(race, "x")
	require.Equal(t, 1.5, gain.Median, "two rounds are too few")
	require.Contains(t, note, "says nothing")
}

// In a second of short reads one takes ten milliseconds: of a hundred who come
// in, one waits.
func TestOnTime(t *testing.T) {
	h := newHistogram()
	require.NoError(t, h.RecordValues(1e3, 990_000))
	require.NoError(t, h.RecordValue(10e6))
	require.InEpsilon(t, 1e3, h.ValueAtPercentile(99.99), 0.05, "which the reads do not show")
	o := onTime(h, 10*time.Microsecond)
	require.InEpsilon(t, 100_000, o.TotalCount(), 0.02)
	require.InEpsilon(t, 9e6, o.ValueAtPercentile(99.9), 0.05)
	require.InEpsilon(t, 1e3, o.ValueAtPercentile(98), 0.05)
	require.InEpsilon(t, h.Max(), o.Max(), 0.001)

	// For half of the time nobody is served.
	h.Reset()
	require.NoError(t, h.RecordValues(1e3, 500_000))
	require.NoError(t, h.RecordValue(500e6))
	o = onTime(h, 10*time.Microsecond)
	require.InEpsilon(t, 100_000, o.TotalCount(), 0.02)
	require.InEpsilon(t, 250e6, o.ValueAtPercentile(75), 0.05)
	require.InEpsilon(t, 1e3, o.ValueAtPercentile(45), 0.05)
	require.Zero(t, onTime(newHistogram(), time.Microsecond).TotalCount())

	// One in two thousand takes a little longer, each another time.
	h.Reset()
	require.NoError(t, h.RecordValues(1e3, 2_000_000))
	for i := range int64(1000) {
		require.NoError(t, h.RecordValue(2e3+4*i))
	}
	o = onTime(h, 10*time.Microsecond)
	require.InEpsilon(t, 200_000, o.TotalCount(), 0.02)
	require.InEpsilon(t, 1e3, o.ValueAtPercentile(99.9), 0.05)
	require.Greater(t, o.ValueAtPercentile(99.99), int64(2e3))
}

// The upstream, the proxy and the client speak with one another.
func TestRoads(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	listen := func(serve func(io.Writer) error) string {
		r, w := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- serve(w) }()
		t.Cleanup(func() {
			stop()
			require.NoError(t, <-done)
		})
		line, err := bufio.NewReader(r).ReadString('\n')
		require.NoError(t, err)
		return strings.TrimSpace(strings.TrimPrefix(line, "addr="))
	}
	upstream := listen(func(w io.Writer) error { return serveUpstream(ctx, w) })
	proxy := listen(func(w io.Writer) error { return serveProxy(ctx, w, upstream) })
	for _, addr := range []string{upstream, proxy} {
		p, err := newPool(addr)
		require.NoError(t, err)
		took, err := p.burst([][]byte{request(0, []byte(`{"a":1}`), "application/json"), request(1, nil, "application/json")}, 20, 100*time.Microsecond)
		require.NoError(t, err)
		require.Positive(t, took)
		p.close()
		delay, err := stream(addr, request(2, []byte(`{}`), "text/event-stream"))
		require.NoError(t, err)
		require.Positive(t, delay)
	}
	c, err := dial(upstream)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.ask([]byte("nonsense\r\n\r\n"))
	require.ErrorContains(t, err, "400")
}

// A process that does not say where it listens is ended, and not waited for.
func TestSilentProcess(t *testing.T) {
	s := &setting{Context: t.Context()}
	p, err := s.start("upstream")
	require.NoError(t, err)
	defer p.stop()
	addr, err := p.address(time.Hour)
	require.NoError(t, err)
	_, err = stream(addr, request(0, nil, "text/event-stream"))
	require.NoError(t, err)

	p, err = s.start("table", peers.Ours, "1") // which waits for questions
	require.NoError(t, err)
	defer p.stop()
	_, err = p.address(time.Millisecond)
	require.ErrorContains(t, err, "table affinity 1: has not said within 1ms where it listens: try again")
}

// A request that fails now and then costs its connection; many are an error.
func TestFailingRequests(t *testing.T) {
	for every, ok := range map[int64]bool{200: true, 10: false} {
		var n atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1)%every == 0 {
				panic(http.ErrAbortHandler)
			}
		}))
		p, err := newPool(server.Listener.Addr().String())
		require.NoError(t, err)
		took, err := p.burst([][]byte{request(0, nil, "application/json")}, 300, 0)
		require.Equal(t, ok, err == nil, "%v", err)
		require.Equal(t, ok, took > 0)
		p.close()
		server.Close()
	}
}

// A stream that is cut off is an error, not a quick one.
func TestShortStream(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "data: {\"sent\":1}\n\n")
	}))
	defer server.Close()
	_, err := stream(server.Listener.Addr().String(), request(0, nil, "text/event-stream"))
	require.ErrorContains(t, err, "1 events")
}

func TestRequest(t *testing.T) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request(7, []byte(`{"a":1}`), "text/event-stream"))))
	require.NoError(t, err)
	require.Equal(t, peers.Key(7), r.Header.Get("X-Session-Id"))
	require.Equal(t, "text/event-stream", r.Header.Get("Accept"))
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, `{"a":1}`, string(body))
}

func TestNames(t *testing.T) {
	require.Equal(t, "2 kB", bytesOf(2<<10))
	require.Equal(t, "2 MB", bytesOf(2<<20))
	require.Equal(t, "1k", thousands(1000))
	require.Equal(t, "5M", thousands(5_000_000))
	require.Contains(t, names(), "header, scaling")
}
