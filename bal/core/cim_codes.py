"""Code tables of `ReadingType` (IEC 61968-9:2013, annex C), as far as they are public.

NAESB ESPI (REQ.21) and open CIM models publish the same numbers. A number outside a table is no error: vendors send
such, so the reading is taken and flagged.
"""

from typing import Final


def _names(text: str) -> dict[int, str]:
    return {int(number): name for number, name in (pair.split(":") for pair in text.split())}


def _run(first: int, names: str) -> dict[int, str]:
    return dict(enumerate(names.split(), first))


MACRO_PERIODS: Final = _names(
    "0:none 8:billingPeriod 11:daily 13:monthly 22:seasonal 24:weekly 32:specifiedPeriod"
)
MACRO_PERIOD_SECONDS: Final = {11: 86_400, 24: 604_800}
"""Macro periods of a fixed length; a month has none."""

AGGREGATES: Final = _names(
    "0:none 2:average 4:excess 5:highThreshold 7:lowThreshold 8:maximum 9:minimum 11:nominal 12:normal "
    "16:secondMaximum 17:secondMinimum 23:thirdMaximum 24:fourthMaximum 25:fifthMaximum 26:sum"
)

MEASURING_PERIODS: Final = {
    **_names(
        "0:none 1:tenMinute 2:fifteenMinute 3:oneMinute 4:twentyfourHour 5:thirtyMinute 6:fiveMinute 7:sixtyMinute "
        "10:twoMinute 14:threeMinute 15:present 16:previous 31:twentyMinute"
    ),
    **_run(
        50,
        "fixedBlock60Min fixedBlock30Min fixedBlock20Min fixedBlock15Min fixedBlock10Min fixedBlock5Min "
        "fixedBlock1Min rollingBlock60MinIntvl30MinSubIntvl rollingBlock60MinIntvl20MinSubIntvl "
        "rollingBlock60MinIntvl15MinSubIntvl rollingBlock60MinIntvl12MinSubIntvl rollingBlock60MinIntvl10MinSubIntvl "
        "rollingBlock60MinIntvl6MinSubIntvl rollingBlock60MinIntvl5MinSubIntvl rollingBlock60MinIntvl4MinSubIntvl "
        "rollingBlock30MinIntvl15MinSubIntvl rollingBlock30MinIntvl10MinSubIntvl rollingBlock30MinIntvl6MinSubIntvl "
        "rollingBlock30MinIntvl5MinSubIntvl rollingBlock30MinIntvl3MinSubIntvl rollingBlock30MinIntvl2MinSubIntvl "
        "rollingBlock15MinIntvl5MinSubIntvl rollingBlock15MinIntvl3MinSubIntvl rollingBlock15MinIntvl1MinSubIntvl "
        "rollingBlock10MinIntvl5MinSubIntvl rollingBlock10MinIntvl2MinSubIntvl rollingBlock10MinIntvl1MinSubIntvl "
        "rollingBlock5MinIntvl1MinSubIntvl twelveMinute twoHour fourHour sixHour twelveHour threeHour",
    ),
    **_run(100, "specifiedInterval specifiedFixedBlock specifiedRollingBlock"),
}

_MINUTES: Final = {
    1: 10,
    2: 15,
    3: 1,
    4: 1440,
    5: 30,
    6: 5,
    7: 60,
    10: 2,
    14: 3,
    31: 20,
    50: 60,
    51: 30,
    52: 20,
    53: 15,
    54: 10,
    55: 5,
    56: 1,
    **dict.fromkeys(range(57, 65), 60),
    **dict.fromkeys(range(65, 71), 30),
    **dict.fromkeys(range(71, 74), 15),
    **dict.fromkeys(range(74, 77), 10),
    77: 5,
    78: 12,
    79: 120,
    80: 240,
    81: 360,
    82: 720,
    83: 180,
}
MEASURING_PERIOD_SECONDS: Final = {number: 60 * minutes for number, minutes in _MINUTES.items()}
"""Measuring periods of a stated length; of a rolling block the length of the block."""

ACCUMULATIONS: Final = _names(
    "0:none 1:bulkQuantity 2:continuousCumulative 3:cumulative 4:deltaData 6:indicating 9:summation 10:timeDelay "
    "12:instantaneous 13:latchingQuantity 14:boundedQuantity"
)

FLOW_DIRECTIONS: Final = _names(
    "0:none 1:forward 2:lagging 3:leading 4:net 5:q1plusQ2 7:q1plusQ3 8:q1plusQ4 9:q1minusQ4 10:q2plusQ3 "
    "11:q2plusQ4 12:q2minusQ3 13:q3plusQ4 14:q3minusQ2 15:quadrant1 16:quadrant2 17:quadrant3 18:quadrant4 "
    "19:reverse 20:total 21:totalByPhase"
)

COMMODITIES: Final = _run(
    0,
    "none electricitySecondaryMetered electricityPrimaryMetered communication air insulativeGas insulativeOil "
    "naturalGas propane potableWater steam wasteWater heatingFluid coolingFluid nonpotableWater nox so2 ch4 co2 "
    "carbon hch pfc sf6 tvLicence internet refuse electricityTransmissionMetered",
)

MEASUREMENT_KINDS: Final = {
    0: "none",
    **_run(
        2,
        "apparentPowerFactor currency current currentAngle currentImbalance date demand distance distortionVoltAmp "
        "energization energy energizationLoadSide fan frequency fund ieee1366ASAI ieee1366ASIDI ieee1366ASIFI "
        "ieee1366CAIDI ieee1366CAIFI ieee1366CEMIn ieee1366CEMSMIn ieee1366CTAIDI ieee1366MAIFI ieee1366MAIFIe "
        "ieee1366SAIDI ieee1366SAIFI",
    ),
    **_run(
        31,
        "lineLoss loss negativeSequence phasorPowerFactor phasorReactivePower positiveSequence power powerFactor",
    ),
    **_run(
        40,
        "quantityPower sag swell switchPosition tapPosition tariffRate temperature totalHarmonicDistortion "
        "transformerLoss unipedeVoltageDip10to15 unipedeVoltageDip15to30 unipedeVoltageDip30to60 "
        "unipedeVoltageDip60to90 unipedeVoltageDip90to100 voltage voltageAngle voltageExcursion voltageImbalance "
        "volume zeroFlowDuration zeroSequence",
    ),
    64: "distortionPowerFactor",
    81: "frequencyExcursion",
    **_run(
        90,
        "applicationContext apTitle assetNumber bandwidth batteryVoltage broadcastAddress deviceAddressType1 "
        "deviceAddressType2 deviceAddressType3 deviceAddressType4 deviceClass electronicSerialNumber endDeviceID "
        "groupAddressType1 groupAddressType2 groupAddressType3 groupAddressType4 ipAddress macAddress "
        "mfgAssignedConfigurationID mfgAssignedPhysicalSerialNumber mfgAssignedProductNumber "
        "mfgAssignedUniqueCommunicationAddress multiCastAddress oneWayAddress signalStrength twoWayAddress "
        "signaltoNoiseRatio alarm batteryCarryover dataOverflowAlarm demandLimit demandReset diagnostic "
        "emergencyLimit encoderTamper ieee1366MomentaryInterruption ieee1366MomentaryInterruptionEvent "
        "ieee1366SustainedInterruption interruptionBehaviour inversionTamper loadInterrupt loadShed maintenance "
        "physicalTamper powerLossTamper powerOutage powerQuality powerRestoration programmed pushbutton "
        "relayActivation relayCycle removalTamper reprogrammingTamper reverseRotationTamper switchArmed "
        "switchDisabled tamper watchdogTimeout billLastPeriod billToDate billCarryover connectionFee audibleVolume "
        "volumetricFlow",
    ),
}

PHASES: Final = _names(
    "0:none 16:N 32:C 33:CN 40:CAv 41:ACN 64:B 65:BN 66:BC 72:BAv 96:AC 97:BCN 128:A 129:AN 132:AB 136:AAv 193:ABN "
    "224:ABC 225:ABCN 256:S2 272:S2N 512:S1 528:S1N 768:S12 769:S12N 784:S12N"
)

MULTIPLIERS: Final = _names(
    "-24:y -21:z -18:a -15:f -12:p -9:n -6:micro -3:m -2:c -1:d 0:none 1:da 2:h 3:k 6:M 9:G 12:T 15:P 18:E 21:Z 24:Y"
)

CURRENCIES: Final = _names(
    "0:none 8:ALL 12:DZD 32:ARS 36:AUD 48:BHD 50:BDT 51:AMD 68:BOB 72:BWP 96:BND 104:MMK 108:BIF 116:KHR 124:CAD "
    "144:LKR 152:CLP 156:CNY 170:COP 188:CRC 191:HRK 203:CZK 208:DKK 214:DOP 230:ETB 242:FJD 270:GMD 320:GTQ 344:HKD "
    "348:HUF 352:ISK 356:INR 360:IDR 364:IRR 368:IQD 376:ILS 388:JMD 392:JPY 398:KZT 400:JOD 404:KES 410:KRW 414:KWD "
    "417:KGS 418:LAK 422:LBP 434:LYD 446:MOP 458:MYR 462:MVR 480:MUR 484:MXN 496:MNT 498:MDL 504:MAD 512:OMR 516:NAD "
    "524:NPR 554:NZD 566:NGN 578:NOK 586:PKR 590:PAB 600:PYG 604:PEN 608:PHP 634:QAR 643:RUB 646:RWF 682:SAR 690:SCR "
    "702:SGD 704:VND 710:ZAR 752:SEK 756:CHF 760:SYP 764:THB 776:TOP 780:TTD 784:AED 788:TND 800:UGX 807:MKD 818:EGP "
    "826:GBP 834:TZS 840:USD 858:UYU 860:UZS 886:YER 901:TWD 928:VES 933:BYN 936:GHS 941:RSD 944:AZN 946:RON 949:TRY "
    "950:XAF 952:XOF 967:ZMW 971:AFN 972:TJS 973:AOA 975:BGN 976:CDF 977:BAM 978:EUR 980:UAH 981:GEL 985:PLN 986:BRL"
)
"""ISO 4217 numbers."""
