package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
)

// A request that refers to state waits for the upstream that has it, if that has
// said when it is back and it is not for too long: the others could not serve it.
func TestStateIsWaitedFor(t *testing.T) {
	t.Parallel()
	const pinned = `{"model":"m","previous_response_id":"resp_0123456789abcdef","input":"x"}`
	for name, tt := range map[string]struct {
		body, retryAfter string
		atHome           bool
	}{
		"state":                {pinned, "1", true},
		"state, and no time":   {pinned, "", false},
		"state, after a while": {pinned, "60", false},
		"no state":             {`{"model":"m","input":"x"}`, "1", false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 3, func(t *testing.T, w *world) {
				ask := func(body string) (target string) {
					answer := w.ask("POST", "/v1/responses", body, "X-Session-ID", "s")
					require.Equal(t, http.StatusOK, answer.Code)
					return answer.Header().Get(targetHeader)
				}
				home := ask(tt.body)
				start := time.Now()
				for _, u := range w.g.upstreams {
					if u.name != home {
						u.health.failed(start.Add(-time.Minute), time.Second, true) // and is tried by one at a time
					}
				}
				w.let(home, func() (*http.Response, error) {
					if time.Since(start) >= 500*time.Millisecond {
						return serves(0)()
					}
					if tt.retryAfter == "" {
						return refuses(429)()
					}
					return refuses(429, "Retry-After", tt.retryAfter)()
				})
				require.Equal(t, tt.atHome, ask(tt.body) == home)
				if tt.atHome {
					require.GreaterOrEqual(t, time.Since(start), time.Second)
				} else {
					require.Less(t, time.Since(start), time.Second)
				}
				for _, u := range w.g.upstreams {
					require.Zero(t, u.health.used, "a slot was not given back")
				}
			})
		})
	}
}

func zip(s string) string {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	io.WriteString(z, s)
	z.Close()
	return b.String()
}

// After a restart nobody knows where the state of a session is: it may be at the upstream that
// has failed.
func TestStateOfANewSession(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.let("a", fails(io.EOF))
		w.let("b", refuses(404))
		for i := range 20 {
			before := w.hits["a"]
			answer := w.ask("POST", "/v1/responses", `{"previous_response_id":"resp_0123456789abcdef"}`, "X-Session-ID", fmt.Sprint("s", i))
			require.Equal(t, map[bool]int{true: 503, false: 404}[w.hits["a"] > before], answer.Code)
			answer = w.ask("POST", "/v1/responses", `{"previous_response_id":"resp_0123456789abcdef"}`, "X-Session-ID", fmt.Sprint("t", i))
			require.Contains(t, []int{503, 404}, answer.Code)
			<-time.After(time.Minute)
		}
		require.NotZero(t, w.hits["a"])
	})
}

// Where the state that a request refers to is at an upstream that fails, what the others
// say of it is not the last word: the client is told to come back, and finds it.
func TestStateIsNotGivenUp(t *testing.T) {
	t.Parallel()
	const pinned = `{"model":"m","previous_response_id":"resp_0123456789abcdef","input":"x"}`
	broken := fails(io.EOF)
	for name, tt := range map[string]struct {
		body  string
		home  func() (*http.Response, error)
		other int
		says  string
		want  [2]int // of the request that meets the failure, and of one after it
	}{
		"it fails":                  {pinned, refuses(500), 404, "{}", [2]int{500, 503}},
		"it says for how long":      {pinned, refuses(503, "Retry-After", "40"), 404, "{}", [2]int{503, 503}},
		"it is gone":                {pinned, broken, 400, `{"error":{"message":"Previous response with id 'resp_0123456789abcdef' not found."}}`, [2]int{503, 503}},
		"it cannot be read":         {pinned, broken, 400, zip(`{"error":{"code":"context_length_exceeded"}}`), [2]int{503, 503}},
		"in capital letters":        {pinned, broken, 400, `{"error":"NO SUCH THING"}`, [2]int{503, 503}},
		"only its id":               {pinned, broken, 400, "bad: resp_0123456789abcdef", [2]int{503, 503}},
		"they say nothing":          {pinned, broken, 400, "", [2]int{503, 503}},
		"they say too much":         {pinned, broken, 400, strings.Repeat(" no", maxKept), [2]int{503, 503}},
		"others have it, too":       {pinned, broken, 200, "", [2]int{200, 200}},
		"others say something else": {pinned, broken, 413, "{}", [2]int{413, 413}},
		"it is the client's fault":  {pinned, broken, 400, `{"error":{"message":"Unsupported parameter: 'temperature'.","type":"invalid_request_error"}}`, [2]int{400, 400}},
		"no state":                  {`{"model":"m","input":"x"}`, broken, 404, "{}", [2]int{404, 404}},
		"its own word":              {pinned, refuses(404), 404, "{}", [2]int{404, 404}},
	} {
		for _, failover := range []affinity.FailoverPolicy{affinity.FailoverReturn, affinity.FailoverRebind} {
			t.Run(fmt.Sprint(name, " ", failover), func(t *testing.T) {
				inWorld(t, 3, func(t *testing.T, w *world) {
					var open atomic.Int32 // answers
					defer func() { require.Zero(t, open.Load()) }()
					ask := func(body string) *httptest.ResponseRecorder {
						return w.ask("POST", "/v1/responses", body, "X-Session-ID", "s")
					}
					created := func() (*http.Response, error) {
						h := http.Header{"Content-Type": {"application/json"}}
						body := io.NopCloser(strings.NewReader(`{"object":"response","id":"resp_0123456789abcdef"}`))
						return &http.Response{StatusCode: 200, Header: h, Body: body, ContentLength: -1}, nil
					}
					w.letAll(created)
					home := ask(`{"model":"m","input":"x"}`).Header().Get(targetHeader)
					for _, u := range w.g.upstreams {
						switch {
						case u.name == home:
							w.let(u.name, tt.home)
						case tt.other == 200:
							w.let(u.name, serves(0))
						default:
							w.let(u.name, func() (*http.Response, error) {
								resp, err := refuses(tt.other)()
								open.Add(1)
								resp.Body = struct {
									io.Reader
									io.Closer
								}{strings.NewReader(tt.says), closeFunc(sync.OnceFunc(func() { open.Add(-1) }))}
								if strings.HasPrefix(tt.says, "\x1f\x8b") {
									resp.Header.Set("Content-Encoding", "gzip")
								}
								return resp, err
							})
						}
					}
					answer := ask(tt.body)
					require.Equal(t, tt.want[0], answer.Code)
					if tt.want[0] == tt.other && tt.other != 200 && name != "its own word" {
						require.Equal(t, tt.says, answer.Body.String(), "all of it")
					}
					after := map[bool]string{true: "40", false: "1"}[name == "it says for how long"]
					if answer.Code == 503 {
						require.Equal(t, after, answer.Header().Get("Retry-After"))
					}
					if failover == affinity.FailoverReturn { // else where it went may be home now
						answer := ask(tt.body)
						require.Equal(t, tt.want[1], answer.Code)
						if answer.Code == 503 {
							require.Equal(t, after, answer.Header().Get("Retry-After"))
						}
					}
					if tt.other == 200 && failover == affinity.FailoverReturn {
						for _, u := range w.g.upstreams {
							if u.name != home {
								w.let(u.name, refuses(404))
							}
						}
						require.Equal(t, 503, ask(tt.body).Code, "nor where it has made a detour")
					}
					if tt.want[0] < 500 {
						return
					}
					w.let(home, created)
					<-time.After(time.Minute)
					require.Equal(t, 200, ask(tt.body).Code, "it goes on")
				}, func(o *options) { o.failover = failover })
			})
		}
	}
}

// A Responses conversation that names nothing but the last response stays.
func TestPreviousResponseIsFollowed(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	var n atomic.Int64
	for i, b := range r.backends {
		b.does(func(w http.ResponseWriter, req *http.Request) {
			id := fmt.Sprintf("resp_%s_%d", b.name, n.Add(1))
			if i%2 == 0 {
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprintf(w, "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":%q}}\n\n", id)
				return
			}
			fmt.Fprintf(w, `{"id":%q,"object":"response"}`, id)
		})
	}
	for chat := range 12 {
		first := r.do("POST", "/v1/responses", fmt.Sprintf(`{"input":"question %d","store":true}`, chat))
		last := first
		for range 4 {
			id := last.text[strings.Index(last.text, "resp_"):]
			id = id[:strings.IndexByte(id, '"')]
			last = r.do("POST", "/v1/responses", `{"input":"go on","previous_response_id":"`+id+`"}`)
			require.Equal(t, first.Header.Get(targetHeader), last.Header.Get(targetHeader))
			require.Equal(t, first.Header.Get(sessionHeader), last.Header.Get(sessionHeader))
		}
	}
}

// Anthropic's messages are kept only where a client asks for that with a header, of which there may
// be several. A container is left behind by any tool that runs code.
func TestWhatMessagesLeaveIsFoundAgain(t *testing.T) {
	t.Parallel()
	for beta, way := range map[string]struct{ left, again string }{
		"message-threads-2026-08-12": {`{"id":"msg_%d","type":"message"}`, `{"thread":{"type":"continue","previous_message_id":"msg_%d"},"messages":[{"role":"user","content":"on"}]}`},
		"files-api-2025-04-14":       {`{"type":"message_delta","delta":{"container":{"id":"container_%d"}}}`, `{"container":"container_%[1]d","messages":[{"role":"user","content":"another chat, with %[1]d"}]}`},
	} {
		t.Run(beta, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 4)
			var n atomic.Int64
			r.all(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, way.left, n.Add(1)) })
			for i := int64(1); i <= 12; i++ {
				n.Store(100*i - 1)
				begun := r.do("POST", "/v1/messages", fmt.Sprintf(`{"messages":[{"role":"user","content":"chat %d"}]}`, i), "Anthropic-Beta", "context-1m-2025-08-07", "Anthropic-Beta", beta)
				again := r.do("POST", "/v1/messages", fmt.Sprintf(way.again, 100*i), "Anthropic-Beta", beta)
				require.Equal(t, begun.Header.Get(targetHeader), again.Header.Get(targetHeader))
			}
		})
	}
}

// The ids of all other answers, and of calls as others name them behind an API of messages, would
// only take the place of sessions.
func TestWhatIsNotKeptIsNotLearned(t *testing.T) {
	t.Parallel()
	for path, ids := range map[string][2]string{
		"/v1/messages":         {"msg_1", `{"thread":{"type":"continue","previous_message_id":"msg_1"},"messages":[{"role":"user","content":"on"}]}`},
		"/jobs/a/v1/messages":  {"msg_1", `{"thread":{"type":"continue","previous_message_id":"msg_1"},"messages":[{"role":"user","content":"on"}]}`},
		"/api/v1/messages":     {"fc_1", `{"input":[{"role":"user","content":"on"},{"type":"item_reference","id":"fc_1"}]}`},
		"/v1/chat/completions": {"resp_1", `{"previous_response_id":"resp_1","input":"on"}`},
		"/v1/batches/b/cancel": {"resp_1", `{"previous_response_id":"resp_1","input":"on"}`},
	} {
		r := newRig(t, 4)
		r.all(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"id":%q,"type":"message","content":[{"type":"tool_use","id":%q,"input":{}}]}`, ids[0], ids[0])
		})
		r.do("POST", path, `{"messages":[{"role":"user","content":"hi"}],"deferred":false}`)
		next := r.do("POST", "/v1/messages", ids[1])
		require.Equal(t, "new", next.Header.Get(reasonHeader), path)
	}
}

// What was created at an upstream is asked for there, by whatever API: what is begun has the
// name that the answer tells, with the number of the answer in it.
func TestWhatWasCreatedIsFoundAgain(t *testing.T) {
	type way struct{ begin, answer, name, ask, with string }
	ways := []way{
		// The jobs of Gemini and xAI have names of other forms, and are elsewhere than where they began.
		{"/v1/videos/generations", `{"request_id":"%s"}`, "3f0c0a4e-9f0e-4d0c-8a59-0c6a7d0b%04d", "GET /v1/videos/%s", ""},
		{"/v1beta/models/m:predictLongRunning", `{"name":"%s"}`, "models/m/operations/a%d", "GET /v1beta/%s", ""},
		{"/v1beta/models/m:batchGenerateContent", `{"name":"%s"}`, "batches/a%d", "GET /v1beta/%s", ""},
		{"/v1beta/fileSearchStores", `{"name":"%s"}`, "fileSearchStores/a%d", "GET /v1beta/%s", ""},
		// LM Studio keeps chats, and has another name for their ids.
		{"/api/v1/chat", `{"response_id":"%s"}`, "resp_%d", "POST /api/v1/chat", `{"input":"on","previous_response_id":"%s"}`},
		// A session of an agent is created where the agent is.
		{"/v1/agents", `{"id":"%s"}`, "agent_%d", "POST /v1/sessions", `{"agent":"%s","environment_id":"env_x"}`},
		{"/v1/chat/completions", `{"request_id":"%s"}`, "3f0c0a4e-9f0e-4d0c-8a59-0c6a7d0b%04d", "GET /v1/chat/deferred-completion/%s", ""},
		{"/v1/videos/extensions", `{"request_id":"%s"}`, "3f0c0a4e-9f0e-4d0c-8a59-0c6a7d0b%04d", "GET /v1/videos/%s", ""},
		{"/v1/videos/edits", `{"request_id":"%s"}`, "3f0c0a4e-9f0e-4d0c-8a59-0c6a7d0b%04d", "GET /v1/videos/%s", ""},
		{"/api/v1/services/aigc/video-generation/video-synthesis", `{"output":{"task_id":"%s"}}`, "3f0c0a4e-9f0e-4d0c-8a59-0c6a7d0b%04d", "GET /api/v1/tasks/%s", ""},
		{"/api/v1/services/audio/asr/transcription", `{"output":{"task_status":"PENDING","task_id":"%s"}}`, "3f0c0a4e-9f0e-4d0c-8a59-0c6a7d0b%04d", "GET /api/v1/tasks/%s", ""},
		{"/api/v3/contents/generations/tasks", `{"id":"%s"}`, "cgt-%d", "GET /api/v3/contents/generations/tasks/%s", ""},
		{"/api/v3/context/create", `{"id":"%s","mode":"session"}`, "ctx-%d", "POST /api/v3/context/chat/completions", `{"context_id":"%s","messages":[{"role":"user","content":"x"}]}`},
		{"/v1/messages", `{"content":[{"type":"bash_code_execution_output","file_id":"%s"}]}`, "file_%d", "GET /v1/files/%s/content", ""},
		// Files are uploaded in parts, and are what jobs begin with and end in.
		{"/v1/uploads", `{"id":"%s"}`, "upload_%d", "POST /v1/uploads/%s/parts", ""},
		{"/v1/files", `{"id":"%s","object":"file"}`, "3f0c0a4e-9f0e-4d0c-8a59-0c6a7d0b%04d", "POST /v1/batch/jobs", `{"input_files":["%s"]}`},
		{"/upload/v1beta/files", `{"file":{"name":"%s"}}`, "files/a%d", "POST /v1beta/models/m:batchGenerateContent", `{"batch":{"input_config":{"file_name":"%s"}}}`},
		{"/v1/batch/jobs", `{"id":"%s","object":"batch"}`, "3f0c0a4e-9f0e-4d0c-8a59-0c6a7d0b%04d", "GET /v1/batch/jobs/%s", ""},
		{"/v1/fine_tuning/jobs", `{"id":"%s"}`, "ftjob-%d", "GET /v1/fine_tuning/jobs/%s/events", ""},
		{"/v1/batches/batch_x", `{"output_file_id":"%s"}`, "file-%d", "GET /v1/files/%s/content", ""},
		{"/v1/batch/jobs/x", `{"output_file":"%s"}`, "3f0c0a4e-9f0e-4d0c-8a59-0c6a7d0b%04d", "GET /v1/files/%s/content", ""},
		{"/v1beta/batches/x", `{"responsesFile":"%s"}`, "files/a%d", "GET /v1beta/%s:download", ""},
		{"/v1beta/models/m/operations/x", `{"response":{"generateVideoResponse":{"generatedSamples":[{"video":{"uri":"https://generativelanguage.googleapis.com/v1beta/%s:download?alt=media"}}]}}}`, "files/a%d", "GET /v1beta/%s:download", ""},
		// OpenAI's sessions of agents are told the rest by events.
		{"/v1/agents/sessions", `{"id":"%s","object":"agent.session"}`, "sess_%d", "POST /v1/agents/sessions/%s/events", `{"events":[{"type":"agent.session.input.message"}]}`},
	}
	for path, id := range map[string]string{
		"/v1/responses": "resp", "/v1/conversations": "conv", "/v1/files": "file", "/v1/containers": "cntr", "/v1/threads": "thread",
		"/v1/sessions": "sesn", "/v1/batches": "batch", "/v1/messages/batches": "msgbatch", "/v1/vector_stores": "vs",
		"/v1/videos": "video", "/v1/agents": "agent", "/v1/environments": "env", "/v1/vaults": "vlt", "/v1/memory_stores": "memstore",
		"/v1/deployments": "depl", "/v1/skills": "skill",
	} {
		ways = append(ways, way{path, `{"id":"%s"}`, id + "_%d", "GET " + path + "/%s", ""})
	}
	for _, way := range ways {
		t.Run(way.begin, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 4)
			var n atomic.Int64
			r.all(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, way.answer, fmt.Sprintf(way.name, n.Add(1)))
			})
			for i := 1; i <= 12; i++ {
				n.Store(int64(100 * i))
				name := fmt.Sprintf(way.name, 100*i+1)
				begun := r.do("POST", way.begin, `{"input":"x","deferred":true}`)
				method, path, _ := strings.Cut(strings.Replace(way.ask, "%s", name, 1), " ")
				asked := r.do(method, path, strings.Replace(way.with, "%s", name, 1))
				require.Equal(t, begun.Header.Get(targetHeader), asked.Header.Get(targetHeader))
				require.Contains(t, []string{"bound", "pinned"}, asked.Header.Get(reasonHeader))
			}
		})
	}
}
