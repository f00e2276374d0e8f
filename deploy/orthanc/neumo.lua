-- Sends each new CR or DX film to Neumo by C-STORE, in a job of its own.
--
-- Not SendToModality: what that can't send is lost without a trace. A job that fails stays in
-- /jobs as Failure, outlives a restart, and is sent again by POST /jobs/ID/resubmit.

function OnStoredInstance(instanceId, tags, metadata, origin)
  -- Never back what came from Neumo (or it would go round for ever), never a result.
  if origin['RemoteAet'] == 'NEUMO' or tags['Manufacturer'] == 'Neumo' then return end
  if tags['Modality'] ~= 'CR' and tags['Modality'] ~= 'DX' then return end
  RestApiPost('/modalities/neumo/store',
              DumpJson({ Resources = { instanceId }, Synchronous = false }, true))
end
