package main

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// However a response ends, that is told once, and as it was first.
func TestFollowedTellsItsEndOnce(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	good := func() io.Reader { return strings.NewReader("text") }
	bad := func() io.Reader { return io.MultiReader(good(), iotest.ErrReader(broken)) }
	read := func(f *followed) { io.Copy(io.Discard, f) }
	stop := func(f *followed) { f.Close() }
	for name, tt := range map[string]struct {
		from  func() io.Reader
		steps []func(*followed)
		want  []error
	}{
		"read":             {good, []func(*followed){read}, []error{nil}},
		"read and closed":  {good, []func(*followed){read, stop, stop}, []error{nil}},
		"closed":           {good, []func(*followed){stop}, []error{nil}},
		"broken":           {bad, []func(*followed){read, read, stop}, []error{broken}},
		"closed and broke": {bad, []func(*followed){stop, read}, []error{nil}},
		"neither":          {good, nil, nil},
	} {
		var ends []error
		f := &followed{original: new(http.Response), ReadCloser: io.NopCloser(tt.from()), end: func(err error) { ends = append(ends, err) }}
		for _, step := range tt.steps {
			step(f)
		}
		require.Equal(t, tt.want, ends, name)
	}
}

// What passes by is read once, in order, and when the next of it is asked for, or before if it
// has come before: it is neither kept to the end nor read before the client has it.
func TestFollowedReadsWhatPasses(t *testing.T) {
	t.Parallel()
	for _, ahead := range []int{0, 1, 2, 7} {
		const all = "one, two, three, four"
		var read strings.Builder
		f := &followed{original: new(http.Response), ReadCloser: io.NopCloser(iotest.OneByteReader(strings.NewReader(all))), tap: &read, end: func(error) {}}
		for range ahead {
			f.readAhead()
			f.came(<-f.next)
		}
		if ahead > 1 {
			f.readAhead() // and it is under way
		}
		require.Equal(t, all[:ahead], read.String())
		if ahead > 1 {
			ahead++
		}
		var got []byte
		for p := make([]byte, 3); ; {
			n, err := f.Read(p)
			if len(got) >= ahead {
				require.Equal(t, all[:len(got)], read.String())
			}
			got = append(got, p[:n]...)
			if err != nil {
				require.Equal(t, io.EOF, err)
				break
			}
		}
		require.Equal(t, all, string(got))
	}
}

// What broke off while it was read ahead has broken off, though more would come.
func TestFollowedBreaksOffAhead(t *testing.T) {
	t.Parallel()
	var end error
	f := &followed{original: new(http.Response), ReadCloser: io.NopCloser(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("text")))), end: func(err error) { end = err }}
	for range 2 {
		f.readAhead()
		f.came(<-f.next)
	}
	text, err := io.ReadAll(f)
	require.Equal(t, "t", string(text))
	require.ErrorIs(t, err, iotest.ErrTimeout)
	require.ErrorIs(t, end, iotest.ErrTimeout)
}

// The trailer of an answer comes with its end: before that, others may look for it while the end
// is read ahead.
func TestFollowedTrailer(t *testing.T) {
	t.Parallel()
	for _, announced := range []http.Header{{"X-Sum": nil}, nil} {
		resp := &http.Response{StatusCode: 200, Trailer: announced, Request: httptest.NewRequest("GET", "/", nil)}
		sum := http.Header{"X-Sum": {"42"}}
		resp.Body = io.NopCloser(readFunc(func([]byte) (int, error) {
			if announced != nil {
				maps.Copy(resp.Trailer, sum)
			}
			resp.Trailer = sum
			return 0, io.EOF
		}))
		f := (*gateway)(nil).follow(t.Context(), resp, nil)
		f.end = func(error) {}
		f.readAhead()
		f.came(<-f.next)
		require.Empty(t, f.answer.Trailer["X-Sum"])
		_, err := f.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		require.Equal(t, sum, f.answer.Trailer)
	}
}

func TestUpload(t *testing.T) {
	t.Parallel()
	var none *upload
	require.True(t, none.untouched())
	require.False(t, none.broken())

	over := make(chan struct{})
	close(over)
	u := newUpload(strings.NewReader("text"), over)
	u.Close()
	_, err := u.Read(make([]byte, 1))
	require.Error(t, err, "it is closed")
	require.False(t, u.broken())

	u = newUpload(iotest.ErrReader(io.ErrUnexpectedEOF), over)
	io.Copy(io.Discard, u)
	require.True(t, u.broken())
	require.False(t, u.untouched())
}

// An upload that is not read before its answer begins is not read at all: the client is not told
// to continue any more. But that is no failure of it until the answer is over, or package http
// would break that off.
func TestUploadThatIsNotWanted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reads []int
		from := readFunc(func(p []byte) (int, error) { reads = append(reads, len(p)); return len(p), nil })
		over := make(chan struct{})
		time.AfterFunc(time.Hour, func() { close(over) })
		u := newUpload(from, over)
		require.True(t, u.untouched())
		start := time.Now()
		_, err := u.Read(make([]byte, 1))
		require.Error(t, err)
		require.Equal(t, time.Hour, time.Since(start))
		require.Empty(t, reads)
		require.False(t, u.broken(), "by the client")
		require.True(t, u.waits())

		// If it is read before, the client is told so before anything else happens.
		u = newUpload(from, over)
		for range 2 {
			require.True(t, u.begin())
			require.False(t, u.untouched())
		}
		require.Equal(t, []int{0}, reads)
		u.Read(make([]byte, 1))
		require.Equal(t, []int{0, 1}, reads)

		// What the upstream has asked for it gets, though its answer may come before.
		u = newUpload(from, over)
		u.answers()
		u.wanted()
		start = time.Now()
		require.False(t, u.untouched())
		_, err = u.Read(make([]byte, 1))
		require.NoError(t, err)

		// What has begun goes on when an answer begins.
		u = newUpload(from, over)
		require.True(t, u.begin())
		u.answers()
		require.True(t, u.begin())
		require.Zero(t, time.Since(start))
	})
}

// An answer that is kept is read at once, but not for ever.
func TestKept(t *testing.T) {
	t.Parallel()
	require.False(t, (*kept)(nil).whole())
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int64{0, 10, 64 << 10, 64<<10 + 1, 1 << 40} {
			b := &countedBody{left: size, closed: make(chan struct{})}
			k := keep(&http.Response{Body: b}, nil)
			<-b.closed
			require.Equal(t, size <= 64<<10, k.whole())
			require.Equal(t, min(size, 64<<10+1), b.read)
			body, err := io.ReadAll(k.resp.Body)
			require.NoError(t, err)
			require.EqualValues(t, b.read, len(body))
		}
		r, w := io.Pipe()
		defer w.Close()
		start := time.Now()
		require.False(t, keep(&http.Response{Body: r}, nil).whole(), "it does not come")
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

// What is glanced at is still there, and one that stands still is not waited for.
func TestGlance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for size, want := range map[int]bool{0: true, maxKept - 1: true, maxKept: false, 3 * maxKept: false} {
			text := strings.Repeat("x", size)
			resp := &http.Response{Body: io.NopCloser(strings.NewReader(text))}
			said, ok := glance(resp)
			require.Equal(t, want, ok)
			require.True(t, string(said) == text[:min(size, maxKept)])
			all, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.True(t, string(all) == text)
		}
		r, w := io.Pipe()
		start := time.Now()
		go io.WriteString(w, "half")
		resp := &http.Response{Body: r}
		said, ok := glance(resp)
		require.Empty(t, said)
		require.False(t, ok)
		require.Equal(t, keptSoon, time.Since(start))
		go func() {
			io.WriteString(w, " and half")
			w.Close()
		}()
		all, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "half and half", string(all))
	})
}

type countedBody struct {
	left, read int64
	closed     chan struct{}
}

func (b *countedBody) Read(p []byte) (int, error) {
	n := min(int64(len(p)), b.left)
	if n == 0 {
		return 0, io.EOF
	}
	b.left -= n
	b.read += n
	return int(n), nil
}

func (b *countedBody) Close() error {
	close(b.closed)
	return nil
}
