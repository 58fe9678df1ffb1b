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

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
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
		f := (*gateway)(nil).follow(t.Context(), resp, &exchange{req: new(extract.Request)})
		f.end = func(error) {}
		f.readAhead()
		f.came(<-f.next)
		require.Empty(t, f.answer.Trailer["X-Sum"])
		_, err := f.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		require.Equal(t, sum, f.answer.Trailer)
	}
}
