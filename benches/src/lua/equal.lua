
local function refuse(handle, status, code)
  handle:respond({[":status"] = status, ["x-keybound-code"] = code}, code)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local credential = headers:get("x-api-key")
  if not credential then
    return refuse(handle, "401", "key_missing")
  end
  local key = KEYS[credential]
  if not key then
    return refuse(handle, "401", "key_unknown")
  end
  if key.status ~= "active" then
    return refuse(handle, "401", "key_disabled")
  end
  if os.time() >= key.expires_at then
    return refuse(handle, "401", "key_expired")
  end
  local user = USERS[key.user]
  if not user or user.status ~= "active" then
    return refuse(handle, "403", "user_suspended")
  end
  local tenant = TENANTS[key.tenant]
  if not tenant or user.tenant ~= key.tenant then
    return refuse(handle, "403", "tenant_missing")
  end
  if tenant.status ~= "active" then
    return refuse(handle, "403", "tenant_suspended")
  end
  headers:remove("x-api-key")
  headers:replace("x-key-id", key.id)
  headers:replace("x-user-id", key.user)
  headers:replace("x-tenant-id", key.tenant)
  headers:replace("x-key-scopes", key.scopes)
end
