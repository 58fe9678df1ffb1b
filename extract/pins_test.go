package extract_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

func TestPins(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		`{}`:                                nil,
		`{"previous_response_id":null}`:     nil,
		`{"previous_response_id":12}`:       nil,
		`{"previous_response_id":"resp_1"}`: {"resp_1"},
		`{"previous_interaction_id":"i1","previous_response_id":"resp_1"}`:                                       {"resp_1", "i1"},
		`{"conversation":"conv_1"}`:                                                                              {"conv_1"},
		`{"conversation":{"id":"conv_1"}}`:                                                                       {"conv_1"},
		`{"conversation":"chat-1","messages":[{"role":"user","content":"x"}]}`:                                   nil,
		`{"conversation":{"id":"c1"}}`:                                                                           nil,
		`{"cachedContent":"cachedContents/x"}`:                                                                   {"cachedContents/x"},
		`{"input_file_id":"file-1","endpoint":"/v1/responses"}`:                                                  {"file-1"},
		`{"input_files":["` + uuid + `"],"endpoint":"/v1/chat/completions","model":"m"}`:                         {uuid},
		`{"tools":[{"type":"file_search","vector_store_ids":["vs_1","vs_2",3]},{"type":"function","name":"f"}]}`: {"vs_1", "vs_2"},
		`{"container":"container_1"}`:                                                                            {"container_1"},
		`{"context_id":"ctx-2025-a","messages":[{"role":"user","content":"x"}]}`:                                 {"ctx-2025-a"},
		`{"context_id":"ctx-7f1c","messages":[{"role":"user","content":"x"}]}`:                                   nil,
		`{"context_id":"7f1c","messages":[{"role":"user","content":"x"}]}`:                                       nil,
		`{"request":{"cachedContent":"cachedContents/x"}}`:                                                       {"cachedContents/x"},
		`{"cached_content":"cachedContents/x"}`:                                                                  {"cachedContents/x"},
		`{"container":{"id":"container_1","skills":[]}}`:                                                         {"container_1"},
		`{"thread":{"type":"continue","previous_message_id":"msg_1"}}`:                                           {"msg_1"},
		`{"input":[{"type":"item_reference","id":"rs_1"},{"id":"msg_2","type":"message","role":"user","content":[{"type":"input_file","file_id":"file-3"}]}]}`:                                                      {"rs_1", "file-3"},
		`{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"file_4"}}]}]}`:                                                                                                {"file_4"},
		`{"contents":[{"parts":[{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/5?alt=media"}}]}]}`:                                                                                  {"files/5"},
		`{"contents":[{"parts":[{"file_data":{"file_uri":"files\/5"}},{"file_data":{"file_uri":"gs://bucket/files/6"}},{"fileData":{"fileUri":"https://www.youtube.com/watch?v=x"}},{"fileData":{"fileUri":5}}]}]}`: {"files/5"},
		`{"contents":[{"parts":[{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/5:download?alt=media"}}]}]}`:                                                                         {"files/5"},
		`{"request":{"contents":[{"parts":[{"fileData":{"fileUri":"files/5"}}]}]}}`:                                                                                                                                 {"files/5"},
		`{"input":{"messages":[{"role":"user","content":[{"file_id":"file-6"}]}]}}`:                                                                                                                                 {"file-6"},
		`{"tools":[{"type":"code_interpreter","container":"cntr_1"},{"type":"code_interpreter","container":{"type":"auto"}},{"type":"function","name":"container"}]}`:                                               {"cntr_1"},
		`{"thread":{"type":"create","previous_message_id":"msg_1"}}`:                                                                                                                                                nil,
		`{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"read","input":{"file_id":"1"}}]}]}`:                                                                                  nil,
		`{"contents":[{"parts":[{"functionCall":{"args":{"file_id":"1"}}},{"functionResponse":{"response":{"file_id":"2"}}}]}]}`:                                                                                    nil,
		`{"messages":[{"content":[{"toolUse":{"input":{"file_id":"1"}}},{"toolResult":{"content":[{"json":{"file_id":"2"}}]}}]}]}`:                                                                                  nil,
		`{"messages":[{"content":[{"type":"tool_result","content":[{"type":"image","source":{"type":"file","file_id":"file_1"}}]}]}]}`:                                                                              {"file_1"},
		`{"input":[{"type":"function_call","arguments":{"file_id":"1"}},{"role":"user","content":[{"type":"input_file","file_id":"file-3"}]}]}`:                                                                     {"file-3"},
		`{"messages":[{"role":"system","content":"s"},{"role":"system","content":"fileid://file-fe-1,fileid://file-fe-2"},{"role":"user","content":"x"}]}`:                                                          {"file-fe-1", "file-fe-2"},
		`{"input": {"messages": [{"role": "system", "content": "s"}, {"role": "system", "content": "fileid://file-fe-1, fileid://file-fe-2"}]}}`:                                                                    {"file-fe-1", "file-fe-2"},
		`{"messages":[{"role":"system","content":"fileid://file-fe-1,fileid://file-fe-2\n\nYou are kind, fileid://or not"},{"role":"user","content":"x"}]}`:                                                         {"file-fe-1", "file-fe-2"},
		`{"messages":[{"role":"system","content":"fileid://file-fe-1 is yours, read it"},{"role":"user","content":"x"}]}`:                                                                                           {"file-fe-1"},
		`{"messages":[{"content":"fileid://file-fe-1","role":"system"},{"role":"user","content":"x"}]}`:                                                                                                             {"file-fe-1"},
		"{\"messages\":[\n\t{\"role\" : \"system\", \"content\":\n\"fileid://file-fe-1\"}]}":                                                                                                                        {"file-fe-1"},
		`{"messages":[{"role":"system","content":["fileid://file-fe-1"]},{"role":"system","name":"n","content":"fileid://file-fe-2,"}]}`:                                                                            {"file-fe-2"},
		`{"messages":[` + strings.Repeat(`{"role":"system","content":"s"},`, 15) + `{"role":"system","content":"fileid://file-fe-1"}]}`:                                                                             {"file-fe-1"},
		`{"messages":[` + strings.Repeat(`{"role":"system","content":"s"},`, 16) + `{"role":"system","content":"fileid://file-fe-1"}]}`:                                                                             nil,
		`{"messages":[{"role":"system","content":"fileid://"},{"role":"user","content":"x"}]}`:                                                                                                                      nil,
		`{"messages":[{"role":"system","content":"fileid://file-fe-1"},{"role":"user","content":[{"type":"file","file_id":"file-2"}]}]}`:                                                                            {"file-fe-1", "file-2"},
		`{"messages":[{"role":"user","content":"x"}],"input_file_id":"file-1","file_ids":["file-2"]}`:                                                                                                               nil,
		`{"messages":[{"role":"user","content":"fileid://file-fe-1"},{"role":"system","content":"fileid://file-fe-1"}]}`:                                                                                            nil,
		`{"messages":[{"role":"user","content":"what is a file_id?"}]}`:                                                                                                                                             nil,
		`{"tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["file-1","file-2",3]}},{"type":"image_generation","input_image_mask":{"file_id":"file-3"}}]}`:                                  {"file-1", "file-2", "file-3"},
		`{"tools":["x",null,{"type":"code_interpreter","container":"cntr_1"}]}`:                                                                                                                                     {"cntr_1"},
		`{"tools":[{"type":"shell","environment":{"type":"container_reference","container_id":"cntr_1"}}]}`:                                                                                                         {"cntr_1"},
		`{"tools":[{"env\u0069ronment":{"container_\u0069d":"cntr_1"},"\u0063ontainer":"cntr_2"}]}`:                                                                                                                 {"cntr_1", "cntr_2"},
		`{"tools":[{"type":"shell","environment":{"type":"container_auto","file_ids":["file-1"],"skills":[{"type":"skill_reference","skill_id":"skill_1"},{"type":"inline"}]}}]}`:                                   {"file-1", "skill_1"},
		`{"name":"ours","file_ids":["file-1","file-2"]}`:                                                                                                                                                            {"file-1", "file-2"},
		`{"input_file_id":"a","input_files":["b"],"file_ids":["c"],"training_file":"d","skills":[{"skill_id":"skill_1"}],"messages":[{"role":"user","content":"x"}]}`:                                               nil,
		`{"training_files":[{"file_id":"` + uuid + `","weight":1},{}]}`:                                                                                                                                             {uuid},
		`{"batch":{"display_name":"d","input_config":{"file_name":"files/a"}}}`:                                                                                                                                     {"files/a"},
		`{"batch":{"inputConfig":{"fileName":"files/a"}}}`:                                                                                                                                                          {"files/a"},
		`{"batch":{"inputConfig":{"requests":{"requests":[]}}},"messages":[{"role":"user","content":"x"}]}`:                                                                                                         nil,
		`{"model":"m","training_file":"file-1"}`: {"file-1"},
		`{"tools":[{"fileSearch":{"file_search_store_names":["fileSearchStores/a"]}},{"file_search":{"fileSearchStoreNames":["fileSearchStores/b"]}}]}`: {"fileSearchStores/a", "fileSearchStores/b"},
		`{"tools":[{"fileSearch":{"fileSearchStoreNames":["fileSearchStores/a"]}}]}`:                                                                    {"fileSearchStores/a"},
		`{"tools":[{"type":"file_search","file_search_store_names":["fileSearchStores/a"]}],"input":"x"}`:                                               {"fileSearchStores/a"},
		`{"tools":[{"type":"function","name":"f","parameters":{"properties":{"file_ids":{"default":["file-1"]},"container":{"type":"string"}}}}]}`:      nil,
		`{"container":{"skills":[{"type":"anthropic","skill_id":"pptx"},{"type":"custom","skill_id":"skill_1"}]}}`:                                      {"skill_1"},
		`{"prompt":{"id":"pmpt_1","version":"2"},"input":"x"}`:                                                                                          {"pmpt_1"},
		`{"prompt":{"id":"p"}}`: nil,
		`{"messages":[{"role":"assistant","audio":{"id":"audio_1"}},{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"audio_2"}}]}]}`:                                                                                       {"audio_1"},
		`{"input":[{"type":"code_interpreter_call","id":"ci_1","code":"x","container_id":"cntr_1"},{"type":"x","container_id":"3f2a"}]}`:                                                                                                         {"cntr_1"},
		`{"input":[{"id":"rs_1","summary":[],"type":"reasoning"},{"type":"reasoning","id":"rs_2","encrypted_content":null,"content":[]},{"type":"reasoning","encrypted_content":null,"id":"rs_3"}]}`:                                             {"rs_1", "rs_2", "rs_3"},
		`{"input":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"e"},{"id":"rs_2","type":"reasoning","content":[{"type":"reasoning_text","text":"x"}]}]}`:                                                                    nil,
		`{"input":[{"type":"reasoning","id":"rs_1","encrypted_content":"e","content":[]},{"id":"rs_2","type":"reasoning","content":["x"],"encrypted_content":""}]}`:                                                                              nil,
		`{"input":[{"type":"reasoning","id":"rs_1","encrypted_content":""}]}`:                                                                                                                                                                    {"rs_1"},
		`{"input":[{"type":"document","uri":"https://generativelanguage.googleapis.com/v1beta/files/5"},{"type":"image","uri":"https://x.org/files/6"}]}`:                                                                                        {"files/5"},
		`{"input":[{"type":"reasoning","id":"rs_1","summary":[]},{"type":"reasoning","id":"reasoning_15","summary":[{"type":"summary_text","text":"x"}]}]}`:                                                                                      {"rs_1"},
		`{"messages":[{"role":"assistant","content":[{"type":"reasoning","id":"rs_1","text":"x"},{"type":"text","text":"y"}]}]}`:                                                                                                                 nil,
		`{"store":false,"input":[{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"x"}]},{"type":"item_reference","id":"rs_2"}]}`:                                                                                        {"rs_2"},
		`{"input":[{"role":"user","content":[{"type":"input_file","file_id":"file-1"}],"attachments":[{"type":"audio","id":"audio_7","url":"a.mp3"}]}]}`:                                                                                         {"file-1"},
		`{"messages":[{"role":"user","content":[{"type":"audio","audio":{"type":"mp3","id":"audio_1"}},{"type":"audio","audio":{"file_id":"file-1"}}]}]}`:                                                                                        {"file-1"},
		`{"input":[{"type":"resource","uri":"files/readme.md"},{"type":"document","uri":"https://generativelanguage.googleapis.com/v1beta/files/5"}]}`:                                                                                           {"files/5"},
		`{"input":[{"type":"image_generation_call","id":"ig_1"},{"role":"user","content":"brighter"}]}`:                                                                                                                                          {"ig_1"},
		`{"input":[{"type":"image_generation_call","id":"ig_1","result":null}]}`:                                                                                                                                                                 {"ig_1"},
		`{"input":[{"type":"image_generation_call","id":"ig_1","result":"iVBOR"}]}`:                                                                                                                                                              nil,
		`{"store":false,"input":[{"type":"image_generation_call","id":"ig_1"}]}`:                                                                                                                                                                 nil,
		`{"messages":[{"content":[{"type":"image_generation_call","id":"ig_1"}]}]}`:                                                                                                                                                              nil,
		`{"agent":"agent_1","environment_id":"env_1","vault_ids":["vlt_1"],"resources":[{"type":"file","file_id":"file_1"},{"type":"memory_store","memory_store_id":"memstore_1"}]}`:                                                             {"agent_1", "env_1", "vlt_1", "file_1", "memstore_1"},
		`{"agent":{"type":"agent","id":"agent_1","version":2},"environment_id":"env_1"}`:                                                                                                                                                         {"agent_1", "env_1"},
		`{"agent":"antigravity","environment":"env_1","input":"x","previous_interaction_id":"v1_1"}`:                                                                                                                                             {"v1_1", "env_1"},
		`{"agent":"antigravity","environment":"remote","input":"x"}`:                                                                                                                                                                             nil,
		`{"name":"a","model":"m","skills":[{"type":"custom","skill_id":"skill_1"},{"type":"anthropic","skill_id":"pptx"}],"multiagent":{"type":"coordinator","agents":["agent_2",{"type":"agent","id":"agent_3","version":1},{"type":"self"}]}}`: {"skill_1", "agent_2", "agent_3"},
		`{"agent":{"type":"agent_reference","name":"a"},"environment_id":"prod","resources":{"file_id":"x"}}`:                                                                                                                                    nil,
		`{"environment":"env_1","messages":[]}`:                                                                  nil,
		`{"agent_id":"ag_1","inputs":"x"}`:                                                                       {"ag_1"},
		`{"agent_id":"a1","messages":[]}`:                                                                        nil,
		`{"agent_id":"ag_1","messages":[{"role":"user","content":"x"}]}`:                                         {"ag_1"},
		`{"agent_id":"agent_1","messages":[{"role":"user","content":"x"}]}`:                                      nil,
		`{"agent":"agent_1","vault_ids":["v"],"messages":[{"role":"user","content":"x"}]}`:                       nil,
		`{"agent_id":"a1","environment_id":"env_1","vault_ids":["v"],"resources":[{"file_id":"f"}],"input":"x"}`: nil,
		`{"agent_id":"agent_1","environment":{"type":"openai_hosted","files":[{"type":"file_id","file_id":"file-1","path":"/a"},{"type":"inline","path":"/b","data":"x"}]},"vault_ids":["vault_1"],"input":"x"}`: {"agent_1", "vault_1", "file-1"},
		`{"agent":{"model":"m","instructions":"x"},"environment":{"type":"none"},"input":"x"}`:                                                                                                                   nil,
		`{"previous_response_id":"resp_1"`: nil,
	} {
		require.Equal(t, want, (&extract.Request{Body: []byte(body)}).Pins(), body)
	}
	many := `{"input":[` + strings.Repeat(`{"type":"item_reference","id":"rs_1"},`, 1000)
	for i := range 20 {
		many += fmt.Sprintf(`{"type":"item_reference","id":"rs_%d"},`, i)
	}
	pins := (&extract.Request{Body: []byte(many + `{}]}`)}).Pins()
	require.Len(t, pins, 16)
	require.Equal(t, []string{"rs_1", "rs_0", "rs_2"}, pins[:3])
	many = `{"input_file_id":"file-1","tools":[`
	for i := range 16 {
		many += fmt.Sprintf(`{"container":"cntr_%d"},`, i)
	}
	require.Len(t, (&extract.Request{Path: "/v1/responses/resp_1", Body: []byte(many + `{}],"input":[{"file_id":"file-2"}]}`)}).Pins(), 16)
	for path, want := range map[string][]string{
		"/v1/responses/resp_1":                                {"resp_1"},
		"/v1/responses/resp_1/input_items":                    {"resp_1"},
		"/v1/responses":                                       nil,
		"/v1/responses/" + uuid:                               {uuid},
		"/v1/conversations/" + uuid:                           nil,
		"/v1/responses/compact":                               nil,
		"/v1/responses/input_tokens":                          nil,
		"/v1/conversations/conv_1/items":                      {"conv_1"},
		"/agents/A1/agentAliases/B1/sessions/ours-7/text":     {"A1/ours-7"},
		"/agents/A1/agentAliases/B1/sessions/":                nil,
		"/agents/A1/agentAliases/B1/":                         nil,
		"/v1/sessions/sesn_1/events":                          {"sesn_1"},
		"/v1/sessions":                                        nil,
		"/v1/agents/sessions":                                 nil,
		"/v1/agents/sessions/sess_1/events":                   {"sess_1"},
		"/v1/agents/sessions/sess_1/turns/turn_1":             {"sess_1"},
		"/v1/agents/environments/env_1/files":                 {"env_1"},
		"/v1/vaults/vault_1/credentials":                      {"vault_1"},
		"/v1/deployments/depl_1/run":                          {"depl_1"},
		"/openai/deployments/gpt-5/chat/completions":          nil,
		"/v1/agents/agent_1/versions":                         {"agent_1"},
		"/v1/agents/ag_1":                                     {"ag_1"},
		"/v1/agents/completions":                              nil,
		"/v1/environments/env_1/archive":                      {"env_1"},
		"/v1/environments/prod":                               nil,
		"/v1/vaults/vlt_1/credentials":                        {"vlt_1"},
		"/v1/vaults/keys":                                     nil,
		"/v1/memory_stores/memstore_1/memories":               {"memstore_1"},
		"/v1/memory_stores/list":                              nil,
		"/v1/threads":                                         nil,
		"/v1/batches/batch_1/cancel":                          {"batch_1"},
		"/v1/messages/batches/msgbatch_1/results":             {"msgbatch_1"},
		"/v1/vector_stores/vs_1/search":                       {"vs_1"},
		"/v1/vector_stores/vs_1/files/file-1":                 {"vs_1"},
		"/v1/containers/cntr_1/files":                         {"cntr_1"},
		"/v1/videos/video_1/content":                          {"video_1"},
		"/v1/videos/" + uuid:                                  {uuid},
		"/v1/videos/generations":                              nil,
		"/v1beta/models/veo-9:predictLongRunning":             nil,
		"/v1beta/models/veo-9/operations/a1":                  {"models/veo-9/operations/a1"},
		"/v1beta/models/veo-9/operations/a1:cancel":           {"models/veo-9/operations/a1"},
		"/v1beta/models/veo-9/operations/":                    nil,
		"/v1/files/file-1/content":                            {"file-1"},
		"/v1/files/file_1":                                    {"file_1"},
		"/v1/files/" + uuid + "/content":                      {uuid},
		"/v1/files":                                           nil,
		"/v1/uploads/upload_1/parts":                          {"upload_1"},
		"/v1/uploads":                                         nil,
		"/v1/fine_tuning/jobs/ftjob-1/events":                 {"ftjob-1"},
		"/v1/fine_tuning/jobs/mine":                           nil,
		"/v1/fine_tuning/jobs":                                nil,
		"/v1/batch/jobs/" + uuid:                              {uuid},
		"/api/v3/contents/generations/tasks/cgt-2026-a":       {"cgt-2026-a"},
		"/api/v1/tasks/" + uuid:                               {uuid},
		"/v1/tasks/42":                                        nil,
		"/tasks/" + uuid + "/v1/messages":                     nil,
		"/tasks/" + uuid + "/v1/responses/resp_1":             {"resp_1"},
		"/jobs/" + uuid + "/v1beta/models/m:generateContent":  nil,
		"/sessions/sess_1/chat/completions":                   nil,
		"/openai/deployments/depl_1/chat/completions":         nil,
		"/v1/deployments/depl_1":                              {"depl_1"},
		"/v1/skills/skill_1/versions/1":                       {"skill_1"},
		"/v1/chat/deferred-completion/" + uuid:                {uuid},
		"/v1beta/files/a-1":                                   {"files/a-1"},
		"/v1beta/files/a-1:download":                          {"files/a-1"},
		"/v1beta/cachedContents/x":                            {"cachedContents/x"},
		"/v1/skills/skill_1/versions":                         {"skill_1"},
		"/v1/skills":                                          nil,
		"/docs/skills/readme":                                 nil,
		"/v1beta/fileSearchStores/x:importFile":               {"fileSearchStores/x"},
		"/v1beta/fileSearchStores":                            nil,
		"/v1beta/batches/1:cancel":                            {"batches/1"},
		"/v1/batches":                                         nil,
		"/v1/batches/1":                                       nil,
		"/v1beta/cachedContents":                              nil,
		"/v1beta/cachedContents/":                             nil,
		"/docs/files/readme-first":                            nil,
		"/sessions/my_team/v1/messages":                       nil,
		"/v1beta/interactions/v1_a":                           {"v1_a"},
		"/v1/containers/container_1":                          {"container_1"},
		"/v1/batches/cancel":                                  nil,
		"/v1/containers/list":                                 nil,
		"/v1/vector_stores/search":                            nil,
		"/v1/threads/runs":                                    nil,
		"/v1/threads/thread_1/runs/run_1/submit_tool_outputs": {"thread_1"},
		strings.Repeat("/", 4000) + "v1/responses/resp_1":     {"resp_1"},
		strings.Repeat("/", 5000) + "v1/responses/resp_1":     nil,
	} {
		require.Equal(t, want, (&extract.Request{Path: path}).Pins(), path)
		for _, id := range want {
			var learned string
			r := extract.NewStateReader(func(id string) { learned = id })
			fmt.Fprintf(r, `{"id":%q,"object":"response","name":%q}`, id, id)
			if !strings.HasPrefix(path, "/agents/A1/agentAliases/") { // where the client chooses it
				require.Equal(t, id, learned, "a StateReader does not find what %s needs: see isStateID", path)
			}
		}
	}
}

// What is behind the last pin costs nothing: neither memory nor time. Nor do tools without any
// cost memory.
func TestPinsOfManyFiles(t *testing.T) {
	allocs := func(head, one, tail string, n int) float64 {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, one, i)
		}
		body := []byte(head + b.String() + tail)
		return testing.AllocsPerRun(5, func() { require.Len(t, (&extract.Request{Body: body}).Pins(), 16) })
	}
	for _, in := range [][3]string{
		{`{"messages":[`, `{"role":"user","content":[{"type":"file","file_id":"file_%d"}]},`, `{}]}`},
		{`{"input":[`, `{"type":"item_reference","id":"rs_%d"},`, `{}]}`},
		{`{"tools":[`, `{"container":"cntr_%d"},`, `{}]}`},
		{`{"tools":[{"container":{"file_ids":[`, `"file-%d",`, `""]}}]}`},
		{`{"container":{"skills":[`, `{"skill_id":"skill_%d"},`, `{}]}}`},
	} {
		require.Equal(t, allocs(in[0], in[1], in[2], 20), allocs(in[0], in[1], in[2], 2000), in[0])
	}
	tools := func(n int) float64 {
		body := []byte(`{"tools":[` + strings.Repeat(`{"type":"function","name":"f","parameters":{}},`, n) + `{}]}`)
		return testing.AllocsPerRun(5, func() { require.Empty(t, (&extract.Request{Body: body}).Pins()) })
	}
	require.Equal(t, tools(1), tools(100))
	others := func(n int) float64 {
		body := []byte(`{"messages":[` + strings.Repeat(`{"id":"msg_0123456789","role":"user"},`, n) + `{"audio":{"id":"audio_1"}}]}`)
		return testing.AllocsPerRun(5, func() { require.Equal(t, []string{"audio_1"}, (&extract.Request{Body: body}).Pins()) })
	}
	require.Equal(t, others(1), others(100))
}

// A body with more members than any request has is not gone through again for each of those
// that may hold state.
func TestPinsOfABodyWithTooManyMembers(t *testing.T) {
	t.Parallel()
	for n, want := range map[int][]string{62: {"resp_1", "file-1", "file-2"}, 64: {"resp_1"}} {
		var others strings.Builder
		for i := range n {
			fmt.Fprintf(&others, `,"m%d":1`, i)
		}
		r := &extract.Request{Body: []byte(`{"input_file_id":"file-1","file_ids":["file-2"],"previous_response_id":"resp_1"` + others.String() + `}`)}
		require.Equal(t, want, r.Pins())
		s, ok := extract.Body("input_file_id").Extract(r)
		require.True(t, ok)
		require.Equal(t, "file-1", s.ID)
	}
}

// A Selector may ask several times for one request, and whoever calls it as well: only the
// first time costs anything.
func TestPinsAreFoundOnce(t *testing.T) {
	r := &extract.Request{Path: "/v1/responses/resp_1"}
	require.Equal(t, []string{"resp_1"}, r.Pins())
	r.Body = []byte(`{"input":[{"type":"item_reference","id":"rs_1"}]}`) // which came after the headers
	require.Equal(t, []string{"resp_1", "rs_1"}, r.Pins())
	require.Zero(t, testing.AllocsPerRun(10, func() { r.Pins() }))
}

// What all callers share, each of them may append to.
func TestSharedSlicesAreFull(t *testing.T) {
	t.Parallel()
	for _, messages := range []int{1, 2, 3, 5, 9} {
		r := &extract.Request{Path: "/v1/responses/resp_1", Body: []byte(`{"messages":[` +
			strings.Repeat(`{"role":"user","content":"`+strings.Repeat("x", 5000)+`","file_id":"file-1"},`, messages) +
			`{"role":"user","content":"y","file_id":"file-2"}]}`)}
		require.NotEmpty(t, r.Pins())
		require.Equal(t, len(r.Pins()), cap(r.Pins()))
		require.Len(t, r.Boundaries(), messages+1)
		require.Equal(t, len(r.Boundaries()), cap(r.Boundaries()))
	}
}

// Nor does a body cost much that mentions one pin over and over, or what is none, or has tools without any.
func TestPinsStopLooking(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{2: 2, 4000: 2, 4097: 1} {
		body := `{"messages":[` + strings.Repeat(`{"file_id":"file-1"},`, n) + `{"file_id":"file-2"}]}`
		require.Len(t, (&extract.Request{Body: []byte(body)}).Pins(), want, n)
	}
	for n, want := range map[int]int{1: 1, 4000: 1, 4096: 0} {
		body := `{"tools":[` + strings.Repeat(`{"environment":{}},`, n) + `{"container":"cntr_1"}]}`
		require.Len(t, (&extract.Request{Body: []byte(body)}).Pins(), want, n)
		for _, body := range []string{
			`{"container":{"skills":[` + strings.Repeat(`{"skill_id":1},`, n) + `{"skill_id":"skill_1"}]}}`,
			`{"tools":[{"vector_store_ids":[` + strings.Repeat(`"",`, n) + `"vs_1"]}]}`,
			`{"tools":[{` + strings.Repeat(`"container":{},`, n) + `"container":"cntr_1"}]}`,
			`{"input":[` + strings.Repeat(`{"file_id":""},`, n) + `{"file_id":"file-1"}]}`,
			`{"agent":{},"resources":[` + strings.Repeat(`{},`, n/2) + `{"file_id":"file_1"}]}`,
		} {
			require.Len(t, (&extract.Request{Body: []byte(body)}).Pins(), want, n)
		}
	}
	for n, want := range map[int]int{4000: 1, 4096: 0} { // what one member is looked for in
		for _, body := range []string{
			`{"container":{%s"id":"cntr_1"}}`, `{"agent":{%s"id":"agent_1"}}`, `{"tools":[{"fileSearch":{%s"fileSearchStoreNames":["fileSearchStores/1"]}}]}`,
		} {
			body = fmt.Sprintf(body, strings.Repeat(`"":1,`, n))
			require.Len(t, (&extract.Request{Body: []byte(body)}).Pins(), want, body[:20])
		}
	}
	for n, want := range map[int]int{30_000: 1, 40_000: 0} {
		for _, body := range []string{`{"tools":[{%s"container":"cntr_1"}]}`, `{"container":{%s"container_id":"cntr_1"}}`} {
			body = fmt.Sprintf(body, strings.Repeat(`"":1,`, n))
			require.Len(t, (&extract.Request{Body: []byte(body)}).Pins(), want, body[:20])
		}
	}
	for n, want := range map[int]int{60_000: 1, 80_000: 0} {
		body := `{"input":[` + strings.Repeat("0,", n) + `{"file_id":"file-1"}]}`
		require.Len(t, (&extract.Request{Body: []byte(body)}).Pins(), want, n)
	}
}
