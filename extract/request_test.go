package extract_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

const someBody = `{"session_id":"s-1","messages":[{"role":"user","content":"hi"}]}`

func zipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	require.NoError(t, err)
	_, err = io.WriteString(z, s)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

// body is a request's body that keeps count.
type body struct {
	io.Reader
	read   int
	closed int
	err    error // of Close
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += n
	return n, err
}

func (b *body) Close() error {
	b.closed++
	return b.err
}

func post(from *body, length int64, headers ...string) *http.Request {
	return &http.Request{Method: "POST", URL: &url.URL{Path: "/v1/messages"}, Header: header(headers...), Body: from, ContentLength: length}
}

func TestFromHTTP(t *testing.T) {
	t.Parallel()
	errRead := errors.New("read failed")
	failing := func(s string) io.Reader { return io.MultiReader(strings.NewReader(s), iotest.ErrReader(errRead)) }
	size := int64(len(someBody))
	packed := zipped(t, someBody)
	long := strings.Repeat(someBody, 1000)
	large := zipped(t, `{"session_id":"s-1","a":"`+strings.Repeat("a", 1000)+`"}`)

	for _, test := range []struct {
		name     string
		from     io.Reader
		length   int64 // Content-Length
		limit    int64
		encoding string

		want    string // what the Request has
		sent    string // what a proxy sends on
		err     error
		getBody bool
	}{
		{"small", strings.NewReader(someBody), size, 0, "", someBody, someBody, nil, true},
		{"of unknown length", strings.NewReader(someBody), -1, 0, "", someBody, someBody, nil, true},
		{"in single bytes", iotest.OneByteReader(strings.NewReader(someBody)), -1, 0, "", someBody, someBody, nil, true},
		{"with the end in the last read", iotest.DataErrReader(strings.NewReader(someBody)), -1, 0, "", someBody, someBody, nil, true},
		{"empty", strings.NewReader(""), -1, 0, "", "", "", nil, true},
		{"negative limit", strings.NewReader(someBody), size, -1, "", someBody, someBody, nil, true},
		{"largest limit", strings.NewReader(someBody), -1, math.MaxInt64, "", someBody, someBody, nil, true},
		{"largest limit and more than a first guess", strings.NewReader(long), -1, math.MaxInt64, "", long, long, nil, true},
		{"not JSON", strings.NewReader("\x00\xff"), 2, 0, "", "\x00\xff", "\x00\xff", nil, true},

		{"a byte order mark", strings.NewReader("\ufeff" + someBody), -1, 0, "", someBody, "\ufeff" + someBody, nil, true},
		{"a byte order mark in gzip", strings.NewReader(zipped(t, "\ufeff"+someBody)), -1, 0, "gzip", someBody, zipped(t, "\ufeff"+someBody), nil, true},
		{"nothing but a byte order mark", strings.NewReader("\ufeff"), -1, 0, "", "", "\ufeff", nil, true},

		{"as large as the limit", strings.NewReader(someBody), size, size, "", someBody, someBody, nil, true},
		{"as large as the limit, of unknown length", strings.NewReader(someBody), -1, size, "", someBody, someBody, nil, true},
		{"larger than the limit", strings.NewReader(someBody), size, size - 1, "", "", someBody, nil, false},
		{"larger than the limit, of unknown length", strings.NewReader(someBody), -1, size - 1, "", "", someBody, nil, false},
		{"larger than the limit, in single bytes", iotest.OneByteReader(strings.NewReader(someBody)), -1, 10, "", "", someBody, nil, false},
		{"much larger than the limit", strings.NewReader(long), -1, 1, "", "", long, nil, false},

		{"announced as smaller", strings.NewReader(someBody), 3, 0, "", someBody, someBody, nil, true},
		{"announced as smaller than the limit", strings.NewReader(someBody), 3, 10, "", "", someBody, nil, false},
		{"announced as larger", strings.NewReader(someBody), size + 100, 0, "", someBody, someBody, nil, true},
		{"announced as larger than the limit", strings.NewReader(someBody), 1 << 40, 0, "", "", someBody, nil, false},
		{"announced as empty", strings.NewReader(someBody), 0, 0, "", someBody, someBody, nil, true},

		{"gzip", strings.NewReader(packed), int64(len(packed)), 0, "gzip", someBody, packed, nil, true},
		{"gzip in another case", strings.NewReader(packed), -1, 0, " GZIP ", someBody, packed, nil, true},
		{"x-gzip", strings.NewReader(packed), -1, 0, "x-gzip", someBody, packed, nil, true},
		{"identity", strings.NewReader(someBody), -1, 0, "identity", someBody, someBody, nil, true},
		{"gzip in two parts", strings.NewReader(zipped(t, someBody[:9]) + zipped(t, someBody[9:])), -1, 0, "gzip", someBody, zipped(t, someBody[:9]) + zipped(t, someBody[9:]), nil, true},
		{"gzip that is none", strings.NewReader(someBody), -1, 0, "gzip", "", someBody, nil, true},
		{"gzip of nothing", strings.NewReader(""), -1, 0, "gzip", "", "", nil, true},
		{"gzip cut off", strings.NewReader(packed[:len(packed)-9]), -1, 0, "gzip", "", packed[:len(packed)-9], nil, true},
		{"gzip cut off in its header", strings.NewReader(packed[:5]), -1, 0, "gzip", "", packed[:5], nil, true},
		{"gzip with a wrong checksum", strings.NewReader(packed[:len(packed)-8] + "12345678"), -1, 0, "gzip", "", packed[:len(packed)-8] + "12345678", nil, true},
		{"gzip and garbage behind", strings.NewReader(packed + "garbage"), -1, 0, "gzip", "", packed + "garbage", nil, true},
		{"gzip twice", strings.NewReader(zipped(t, packed)), -1, 0, "gzip, gzip", "", zipped(t, packed), nil, true},
		{"gzip that is larger than the limit inside", strings.NewReader(large), -1, 200, "gzip", "", large, nil, true},
		{"gzip that is larger than the limit outside", strings.NewReader(packed), -1, 10, "gzip", "", packed, nil, false},
		{"gzip that is not said to be", strings.NewReader(packed), -1, 0, "", packed, packed, nil, true},
		{"zstd", strings.NewReader("(\xb5/\xfd"), -1, 0, "zstd", "", "(\xb5/\xfd", nil, true},
		{"br", strings.NewReader(someBody), -1, 0, "br", "", someBody, nil, true},
		{"an unknown encoding", strings.NewReader(someBody), -1, 0, "x", "", someBody, nil, true},

		{"read error at once", failing(""), -1, 0, "", "", "", errRead, false},
		{"read error in the middle", failing(someBody[:20]), size, 0, "", "", someBody[:20], errRead, false},
		{"read error at the end", failing(someBody), size, 0, "", "", someBody, errRead, false},
		{"read error in the middle of gzip", failing(packed[:20]), -1, 0, "gzip", "", packed[:20], errRead, false},
		{"read error behind the limit", failing(someBody), -1, 10, "", "", someBody, errRead, false},
		{"cut off by the client", failing(someBody[:20]), size, 0, "", "", someBody[:20], errRead, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			from := &body{Reader: test.from}
			r := post(from, test.length)
			if test.encoding != "" {
				r.Header.Set("Content-Encoding", test.encoding)
			}
			headers := r.Header.Clone()
			req, err := extract.FromHTTP(r, test.limit)
			require.NotNil(t, req)
			if test.err != nil && test.name != "read error behind the limit" {
				require.ErrorIs(t, err, test.err)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, test.want, string(req.Body))
			require.Equal(t, headers, r.Header, "the request is as it was")
			require.Equal(t, test.length, r.ContentLength)
			require.Equal(t, "POST", req.Method)
			require.Equal(t, "/v1/messages", req.Path)
			require.Zero(t, from.closed, "closing is for who reads")

			require.Equal(t, test.getBody, r.GetBody != nil)
			for range 2 * b2i(test.getBody) {
				again, err := r.GetBody()
				require.NoError(t, err)
				require.NoError(t, iotest.TestReader(again, []byte(test.sent)))
				require.NoError(t, again.Close())
			}
			require.Zero(t, from.closed)

			sent, err := io.ReadAll(iotest.HalfReader(r.Body))
			require.ErrorIs(t, err, test.err)
			require.Equal(t, test.sent, string(sent))
			_, err = r.Body.Read(make([]byte, 1))
			if test.err != nil {
				require.ErrorIs(t, err, test.err, "an error stays")
			} else {
				require.Equal(t, io.EOF, err)
			}

			require.NoError(t, r.Body.Close())
			require.Equal(t, 1, from.closed)
			from.err = errRead
			require.Equal(t, errRead, r.Body.Close(), "the error of Close is passed on")
			require.Equal(t, 2, from.closed)
		})
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A filter sees the headers first, and the body when that has come.
func TestBodyBehindTheHeaders(t *testing.T) {
	t.Parallel()
	type answers struct {
		s          extract.Session
		ok         bool
		class      extract.Class
		pins       []string
		opening    uint64
		boundaries []extract.Boundary
	}
	ask := func(r *extract.Request) (a answers) {
		a.s, a.ok = extract.Default().Extract(r)
		extract.Body("x.y").Extract(r)
		a.class, a.pins, a.boundaries = r.Class(), r.Pins(), r.Boundaries()
		a.opening, _ = r.Opening()
		return a
	}
	for _, body := range []string{
		`{"messages":[{"role":"user","content":"Where is Oslo?"}]}`,
		`{"session_id":"s-1","messages":[{"role":"user","content":"` + strings.Repeat("long ", 4000) + `"}]}`,
		`{"previous_response_id":"resp_1","input":"And Bergen?"}`,
		`{"metadata":{"user_id":"user-1"},"messages":[{"role":"user","content":"quota"}],"max_tokens":1}`,
	} {
		at := func(body string) *extract.Request {
			return &extract.Request{Header: header("Anthropic-Version", "1"), Method: "POST", Path: "/v1/messages", Body: []byte(body)}
		}
		r := at("")
		require.False(t, ask(r).ok)
		r.Body = []byte(body)
		want := ask(at(body))
		require.True(t, want.ok)
		require.Equal(t, want, ask(r))
	}
}

func TestFromHTTPWithoutBody(t *testing.T) {
	t.Parallel()
	for _, b := range []io.ReadCloser{nil, http.NoBody} {
		r := &http.Request{Header: header("X-Session-Id", "a"), Body: b}
		req, err := extract.FromHTTP(r, 0)
		require.NoError(t, err)
		require.Nil(t, req.Body)
		require.Equal(t, b, r.Body)
		require.Nil(t, r.GetBody)
		requireSession(t, extract.Default(), req, "x-session-id", "a")
	}
	req, err := extract.FromHTTP(&http.Request{}, 0)
	require.NoError(t, err)
	requireSession(t, extract.Default(), req, "", "")
}

// A tunnel ends when its two ends have said all, so whoever reads it to the end before
// passing it on waits for ever.
func TestFromHTTPLeavesTunnels(t *testing.T) {
	t.Parallel()
	client, tunnel := io.Pipe()
	defer tunnel.Close()
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Path: "/v1/realtime"}, Header: header("X-Session-Id", "s-1"), Body: client, ContentLength: -1}
	req, err := extract.FromHTTP(r, 0)
	require.NoError(t, err)
	require.Nil(t, r.GetBody)
	s, ok := extract.Default().Extract(req)
	require.True(t, ok)
	require.Equal(t, "s-1", s.ID)
	require.Same(t, client, r.Body)
}

// A body that is said to be too large is left to the proxy, unread.
func TestFromHTTPLeavesLargeBodies(t *testing.T) {
	t.Parallel()
	from := &body{Reader: strings.NewReader(someBody)}
	r := post(from, 1000)
	_, err := extract.FromHTTP(r, 999)
	require.NoError(t, err)
	require.Same(t, from, r.Body)
	require.Zero(t, from.read)

	// One whose size is not known is read up to the byte that is too much.
	from = &body{Reader: strings.NewReader(someBody)}
	_, err = extract.FromHTTP(post(from, -1), 10)
	require.NoError(t, err)
	require.Equal(t, 11, from.read)
}

func TestFromHTTPTwice(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{0, 10} {
		from := &body{Reader: strings.NewReader(someBody)}
		r := post(from, -1)
		first, err := extract.FromHTTP(r, limit)
		require.NoError(t, err)
		second, err := extract.FromHTTP(r, 0)
		require.NoError(t, err)
		require.Equal(t, someBody, string(second.Body))
		if limit == 0 {
			require.Equal(t, first.Body, second.Body)
		}
		sent, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, someBody, string(sent))
		require.NoError(t, r.Body.Close())
		require.Equal(t, 1, from.closed)
	}
}

// text is a body without end in sight: size bytes that nobody keeps.
type text struct {
	size int64
	sum  hash.Hash
}

func (l *text) Read(p []byte) (int, error) {
	if l.size == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), l.size)]
	for i := 0; i < len(p); {
		i += copy(p[i:], "all work and no play makes Jack a dull boy, ")
	}
	l.size -= int64(len(p))
	l.sum.Write(p)
	return len(p), nil
}

// long leaves a test out with -short, as under the race detector: it would take twenty
// times as long, and all of it is in one goroutine.
func long(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
}

// allocated returns how many bytes f allocates. No other test may run beside.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestMemoryOfFromHTTP(t *testing.T) {
	long(t)
	const limit = 1 << 20

	t.Run("100 MB of unknown length pass through", func(t *testing.T) {
		from := &text{100 << 20, sha256.New()}
		r := post(&body{Reader: from}, -1)
		require.Less(t, allocated(func() {
			req, err := extract.FromHTTP(r, limit)
			require.NoError(t, err)
			require.Nil(t, req.Body)
		}), uint64(4*limit))
		sent := sha256.New()
		n, err := io.Copy(sent, r.Body)
		require.NoError(t, err)
		require.EqualValues(t, 100<<20, n)
		require.Equal(t, from.sum.Sum(nil), sent.Sum(nil))
	})

	t.Run("100 MB that are announced as few", func(t *testing.T) {
		r := post(&body{Reader: &text{100 << 20, sha256.New()}}, 10)
		require.Less(t, allocated(func() {
			_, err := extract.FromHTTP(r, limit)
			require.NoError(t, err)
		}), uint64(4*limit))
	})

	t.Run("few bytes that are announced as many", func(t *testing.T) {
		r := post(&body{Reader: strings.NewReader(someBody)}, 30<<20)
		require.Less(t, allocated(func() {
			_, err := extract.FromHTTP(r, 0)
			require.NoError(t, err)
		}), uint64(2<<20))
	})

	t.Run("gzip of 1 GB in 1 MB", func(t *testing.T) {
		bomb := strings.Repeat(zipped(t, strings.Repeat("0", 4<<20)), 256)
		require.Less(t, len(bomb), 2*limit)
		r := post(&body{Reader: strings.NewReader(bomb)}, int64(len(bomb)), "Content-Encoding", "gzip")
		require.Less(t, allocated(func() {
			req, err := extract.FromHTTP(r, 2*limit)
			require.NoError(t, err)
			require.Nil(t, req.Body)
		}), uint64(8*limit))
		sent, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, bomb, string(sent))
	})

	t.Run("gzip of gzip", func(t *testing.T) {
		bomb := zipped(t, zipped(t, strings.Repeat("0", 8<<20)))
		r := post(&body{Reader: strings.NewReader(bomb)}, -1, "Content-Encoding", "gzip, gzip")
		require.Less(t, allocated(func() {
			_, err := extract.FromHTTP(r, limit)
			require.NoError(t, err)
		}), uint64(limit))
	})
}

// A proxy that looks at requests sends on what it got, byte for byte.
func TestFromHTTPInAReverseProxy(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Got-Encoding", r.Header.Get("Content-Encoding"))
		if r.ContentLength < 0 {
			w.Header().Set("Got-Chunked", "yes")
		}
		w.Write(b)
	}))
	t.Cleanup(upstream.Close)
	target, err := url.Parse(upstream.URL)
	require.NoError(t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := extract.FromHTTP(r, 1000)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s, _ := extract.Default().Extract(req)
		w.Header().Set("Session", s.ID)
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)

	for _, test := range []struct {
		name, body, encoding string
		chunked              bool
		session              string
	}{
		{"small", someBody, "", false, "s-1"},
		{"small and chunked", someBody, "", true, "s-1"},
		{"large", someBody + strings.Repeat(" ", 100_000), "", false, ""},
		{"large and chunked", someBody + strings.Repeat(" ", 100_000), "", true, ""},
		{"gzip", zipped(t, someBody), "gzip", false, "s-1"},
		{"gzip and chunked", zipped(t, someBody), "gzip", true, "s-1"},
		{"unknown encoding", someBody, "x", false, ""},
		{"empty", "", "", false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var from io.Reader = strings.NewReader(test.body)
			if test.chunked {
				from = io.MultiReader(from)
			}
			r, err := http.NewRequestWithContext(t.Context(), "POST", proxy.URL, from)
			require.NoError(t, err)
			if test.encoding != "" {
				r.Header.Set("Content-Encoding", test.encoding)
			}
			resp, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode, string(got))
			require.Equal(t, test.body, string(got))
			require.Equal(t, test.encoding, resp.Header.Get("Got-Encoding"))
			require.Equal(t, test.chunked, resp.Header.Get("Got-Chunked") != "")
			require.Equal(t, test.session, resp.Header.Get("Session"))
		})
	}
}

func FuzzFromHTTP(f *testing.F) {
	packed := []byte(zipped(f, someBody))
	f.Add([]byte(someBody), "", int64(0), int64(len(someBody)), -1)
	f.Add([]byte(someBody), "", int64(10), int64(-1), -1)
	f.Add([]byte(someBody), "identity", int64(math.MaxInt64), int64(5), 7)
	f.Add(packed, "gzip", int64(0), int64(-1), -1)
	f.Add(packed[:20], "gzip", int64(30), int64(-1), -1)
	f.Add(append(packed, packed...), "GZIP", int64(200), int64(1<<40), 50)
	f.Add([]byte("x"), "br", int64(-5), int64(0), 0)
	errRead := errors.New("read failed")
	f.Fuzz(func(t *testing.T, data []byte, encoding string, limit, length int64, fail int) {
		var from io.Reader = bytes.NewReader(data)
		want := data
		if fail >= 0 && fail <= len(data) {
			want = data[:fail]
			from = io.MultiReader(bytes.NewReader(want), iotest.ErrReader(errRead))
		} else {
			fail = -1
		}
		closer := &body{Reader: from}
		r := post(closer, length, "Content-Encoding", encoding)
		req, err := extract.FromHTTP(r, limit)
		if fail < 0 {
			require.NoError(t, err)
		}
		if err != nil {
			require.ErrorIs(t, err, errRead)
			require.Nil(t, req.Body)
		}
		if limit <= 0 {
			limit = extract.DefaultBodyLimit
		}
		require.LessOrEqual(t, int64(len(req.Body)), limit)
		s, ok := extract.Default().Extract(req)
		requireValid(t, s, ok)

		sent, err := io.ReadAll(r.Body)
		if fail < 0 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, errRead)
		}
		require.True(t, bytes.Equal(want, sent))
		require.NoError(t, r.Body.Close())
		require.Equal(t, 1, closer.closed)
	})
}

// FuzzRequest asks a request for all that it knows, in whatever order: the answers are the
// same, bounded and fit to be used. It asks again with a large member in front, which has much
// of the body checked less: then the order makes no difference if the body is well-formed.
func FuzzRequest(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b, "POST", "/v1/responses/resp_1/cancel", "Bearer a", `{"request_kind":"memory"}`, uint64(1))
	}
	for _, body := range []string{
		`{"previous_response_id":"resp_1","input":[{"type":"item_reference","id":"rs_1"}],"tools":[{"container":{"file_ids":["file_1"],"skills":[{"skill_id":"skill_1"}]},"vector_store_ids":["vs_1"]}]}`,
		`{"contents":[{"parts":[{"fileData":{"fileUri":"https://a/v1beta/files/b?c"}}]}],"cachedContent":"cachedContents/1"}`,
		`{"messages":[{"role":"system","content":"You are a sub-agent"},{"role":"user","content":"Write a title\nfor: a"}],"client_metadata":{"x-codex-turn-metadata":"{\"request_kind\":\"prewarm\"}"},"max_tokens":1}`,
		`{"prompt":"a","suffix":"b"}`, `{"agent":{"id":"agent_1"},"resources":[{"file_id":"file_1"}],"vault_ids":["v"]}`,
	} {
		f.Add([]byte(body), "GET", "/v1beta/models/a/operations/b:cancel", "Basic a", "a", uint64(2))
		f.Add([]byte(body), "", "/agents/a/agentAliases/b/sessions/c/text", "a,openai-insecure-api-key.b", "", uint64(3))
	}
	// Much of what is skimmed is found to be malformed only by those who look into it.
	f.Add([]byte(`{"tools":[{"cache_control":1}, ],"messages":[{"role":"user","content":["a",{"cachePoint":1}, ]}]}`), "", "", "", "", uint64(1))
	f.Fuzz(func(t *testing.T, body []byte, method, path, credential, header string, seed uint64) {
		ask := func(body []byte, order []int) (answers [7]any) {
			r := &extract.Request{Method: method, Path: path, Body: body, Header: http.Header{
				"Authorization": {credential}, "Sec-Websocket-Protocol": {credential},
				"Session-Id": {"a"}, "X-Codex-Turn-Metadata": {header}, "X-Claude-Code-Agent-Id": {header},
			}}
			for _, i := range order {
				switch i {
				case 0:
					answers[i] = r.Class()
				case 1:
					answers[i] = r.Pins()
				case 2:
					answers[i] = r.Boundaries()
				case 3:
					opening, ok := r.Opening()
					answers[i] = []any{opening, ok}
				case 4:
					s, ok := extract.Default().Extract(r)
					requireValid(t, s, ok)
					answers[i] = s
				case 5:
					s, ok := extract.State().Extract(r)
					requireValid(t, s, ok)
					answers[i] = s
				case 6:
					answers[i] = extract.Credential(r)
				}
			}
			return answers
		}
		for _, pad := range []int{0, 5 << 10, wholly, inPassing} { // see ends.go
			body, sure := body, pad == 0
			if name, rest, ok := bytes.Cut(body, []byte("{")); ok && pad > 0 {
				sure = unambiguous(body)
				body = fmt.Appendf(nil, `%s{"padding":"%s",%s`, name, strings.Repeat("x", pad), rest)
			}
			one := ask(body, []int{0, 1, 2, 3, 4, 5, 6})
			another := ask(body, rand.New(rand.NewPCG(seed, 1)).Perm(len(one)))
			if sure {
				require.Equal(t, one, another)
			}
			require.Contains(t, []extract.Class{extract.Turn, extract.Subagent, extract.Probe, extract.Auxiliary, extract.Compaction}, one[0])
			pins := one[1].([]string)
			require.LessOrEqual(t, len(pins), 16)
			for _, id := range pins {
				clean, ok := extract.ID(id)
				require.True(t, ok)
				require.Equal(t, clean, id)
			}
			require.LessOrEqual(t, len(one[2].([]extract.Boundary)), 1024)
		}
	})
}
