
function envoy_on_request(handle)
  local headers = handle:headers()
  local id = KEYS[headers:get("x-api-key")]
  if not id then
    handle:respond({[":status"] = "401"}, "unknown key")
    return
  end
  headers:replace("x-key-id", id)
  headers:remove("x-api-key")
end
